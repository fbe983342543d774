/* How to time another runtime's int8 kernels: `micronas profile BOARD --adapter my_runtime.c`.
 *
 * Write one C file that includes this header, names the runtime, and defines the functions below for the
 * operators it has; an operator without one stays untimed, and a network that needs it is refused. Include
 * the runtime's own sources or headers from that file (its folder is on the include path).
 *
 * Each function is called once for a signature, with random weights and operands, and everything it does is
 * charged to the operator; leave out what a runtime does once, when a model is loaded. The parameters are
 * those of micronas_kernels.h: tensors are HWC, convolution weights [out][k][k][in]; a runtime with another
 * order may read them as its own. `relu_in` asks that the operand be clamped at its zero point first: a
 * runtime that cannot do so while it reads must run its ReLU here. An add has 2 to 4 operands; a runtime
 * with binary adds runs several. `scratch` is ADAPTER_SCRATCH_BYTES, 16-byte aligned.
 */
#ifndef MICRONAS_ADAPTER_H
#define MICRONAS_ADAPTER_H

#include "micronas_kernels.h"

#define ADAPTER_SCRATCH_BYTES (256 * 1024)

/* The runtime's name and version: they stand beside every latency. */
extern const char adapter_runtime[];
extern const char adapter_version[];

void adapter_convolution(const micronas_convolution_params *, const int8_t *input, int8_t *output, void *scratch);
void adapter_depthwise(const micronas_depthwise_params *, const int8_t *input, int8_t *output, void *scratch);
void adapter_linear(const micronas_linear_params *, const int8_t *input, int8_t *output, void *scratch);
void adapter_average_pool(const micronas_pool_params *, const int8_t *input, int8_t *output, void *scratch);
void adapter_max_pool(const micronas_pool_params *, const int8_t *input, int8_t *output, void *scratch);
void adapter_global_pool(const micronas_global_pool_params *, const int8_t *input, int8_t *output, void *scratch);
void adapter_add(const micronas_add_params *, const int8_t *const *inputs, int8_t *output, void *scratch);
void adapter_relu(const micronas_relu_params *, const int8_t *input, int8_t *output, void *scratch);
void adapter_pad(const micronas_pad_params *, const int8_t *input, int8_t *output, void *scratch);

#endif
