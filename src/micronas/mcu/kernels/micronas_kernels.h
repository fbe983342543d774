/* The int8 operators of micronas: everything a firmware needs to call them.
 *
 * Every operator is one function of four arguments and one constant description:
 *
 *     void micronas_<operator>(const micronas_<operator>_params *params,
 *                              const int8_t *input, int8_t *output, void *scratch);
 *
 * - Tensors are int8, height x width x channels, channels fastest (HWC). No alignment is asked for: cores with
 *   the DSP extension read unaligned words, which their reset state allows (CCR.UNALIGN_TRP is 0).
 * - Nothing is allocated. `scratch` is 4-byte aligned and holds micronas_<operator>_scratch_bytes(params)
 *   bytes; it may be NULL where that is 0. Its content need not survive between calls.
 * - Only add may write in place (see there); elsewhere input, output and scratch must not overlap.
 * - Padding is smaller than the window, so every window touches the image.
 * - Results equal TFLite-Micro's reference kernels (double rounding) bit by bit on every core.
 * - The real factor of a (multiplier, shift) pair is multiplier * 2^(shift - 31), with multiplier 0 or in
 *   [2^30, 2^31) and shift in [-31, 30]; a value shifted left must fit int32.
 * - "clamp": results are limited to [output_min, output_max], -128 <= output_min <= output_max <= 127.
 */
#ifndef MICRONAS_KERNELS_H
#define MICRONAS_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Convolution with bias, square kernel, zero padding. */
typedef struct {
    int32_t in_height, in_width, in_channels;
    int32_t out_height, out_width, out_channels;
    int32_t kernel, stride;
    int32_t pad;                /* pixels before the first row and column; after the last: as out_* needs */
    int32_t relu_in;            /* 1: the input is clamped at its zero point while it is read */
    int32_t input_zero_point, output_zero_point;
    int32_t output_min, output_max;
    const int8_t *weights;      /* [out_channels][kernel][kernel][in_channels] */
    const int32_t *bias;        /* [out_channels], in units of input scale * weight scale */
    const int32_t *multiplier;  /* [out_channels] */
    const int32_t *shift;       /* [out_channels] */
} micronas_convolution_params;

void micronas_convolution(const micronas_convolution_params *params, const int8_t *input, int8_t *output,
                          void *scratch);
int32_t micronas_convolution_scratch_bytes(const micronas_convolution_params *params);

/* Depthwise convolution, one filter a channel. */
typedef struct {
    int32_t in_height, in_width;
    int32_t out_height, out_width;
    int32_t channels;
    int32_t kernel, stride;
    int32_t pad;                /* pixels before the first row and column */
    int32_t relu_in;            /* 1: the input is clamped at its zero point while it is read */
    int32_t input_zero_point, output_zero_point;
    int32_t output_min, output_max;
    const int8_t *weights;      /* [kernel][kernel][channels] */
    const int32_t *bias;        /* [channels] */
    const int32_t *multiplier;  /* [channels] */
    const int32_t *shift;       /* [channels] */
} micronas_depthwise_params;

void micronas_depthwise(const micronas_depthwise_params *params, const int8_t *input, int8_t *output, void *scratch);
int32_t micronas_depthwise_scratch_bytes(const micronas_depthwise_params *params);

/* Fully-connected layer; one factor for the whole tensor. */
typedef struct {
    int32_t inputs, outputs;
    int32_t input_zero_point, output_zero_point;
    int32_t output_min, output_max;
    const int8_t *weights;      /* [outputs][inputs] */
    const int32_t *bias;        /* [outputs] */
    const int32_t *multiplier;  /* [1] */
    const int32_t *shift;       /* [1] */
} micronas_linear_params;

void micronas_linear(const micronas_linear_params *params, const int8_t *input, int8_t *output, void *scratch);
int32_t micronas_linear_scratch_bytes(const micronas_linear_params *params);

/* Average and maximum pools over square windows; input and output share scale and zero point.
 * Padding is neither summed nor counted. Averages round halves away from zero. */
typedef struct {
    int32_t in_height, in_width;
    int32_t out_height, out_width;
    int32_t channels;
    int32_t kernel, stride;
    int32_t pad;                /* pixels before the first row and column */
    int32_t output_min, output_max;
} micronas_pool_params;

typedef micronas_pool_params micronas_average_pool_params;
typedef micronas_pool_params micronas_max_pool_params;

void micronas_average_pool(const micronas_average_pool_params *params, const int8_t *input, int8_t *output,
                           void *scratch);
int32_t micronas_average_pool_scratch_bytes(const micronas_average_pool_params *params);
void micronas_max_pool(const micronas_max_pool_params *params, const int8_t *input, int8_t *output, void *scratch);
int32_t micronas_max_pool_scratch_bytes(const micronas_max_pool_params *params);

/* Average over all pixels, as an average pool whose window is the image. */
typedef struct {
    int32_t pixels, channels;
    int32_t output_min, output_max;
} micronas_global_pool_params;

void micronas_global_pool(const micronas_global_pool_params *params, const int8_t *input, int8_t *output,
                          void *scratch);
int32_t micronas_global_pool_scratch_bytes(const micronas_global_pool_params *params);

/* One binary int8 add: both operands shifted left by 20 and brought to one scale, added, brought to the
 * output's. All three shifts are <= 0. */
typedef struct {
    int32_t left_zero_point, right_zero_point;
    int32_t left_multiplier, left_shift;
    int32_t right_multiplier, right_shift;
    int32_t sum_multiplier, sum_shift;
    int32_t output_zero_point;
    int32_t output_min, output_max;
} micronas_add_stage;

#define MICRONAS_MAX_OPERANDS 4

/* Sum of 2 to 4 tensors: the left fold ((a + b) + c) + d of binary adds, each with its own constants.
 * `inputs` holds `operands` pointers; `output` may be any one of them (in place). */
typedef struct {
    int32_t size;               /* elements of a tensor */
    int32_t operands;
    micronas_add_stage stages[MICRONAS_MAX_OPERANDS - 1];  /* the first operands - 1 are used */
} micronas_add_params;

void micronas_add(const micronas_add_params *params, const int8_t *const *inputs, int8_t *output, void *scratch);
int32_t micronas_add_scratch_bytes(const micronas_add_params *params);

/* max(0, x), brought to the output's scale. */
typedef struct {
    int32_t size;
    int32_t input_zero_point, output_zero_point;
    int32_t output_min, output_max;
    int32_t multiplier, shift;
} micronas_relu_params;

void micronas_relu(const micronas_relu_params *params, const int8_t *input, int8_t *output, void *scratch);
int32_t micronas_relu_scratch_bytes(const micronas_relu_params *params);

/* Zero padding as an operator of its own. */
typedef struct {
    int32_t in_height, in_width;
    int32_t channels;
    int32_t before, after;      /* pixels added to both axes */
    int32_t value;              /* what is padded with: the zero point */
} micronas_pad_params;

void micronas_pad(const micronas_pad_params *params, const int8_t *input, int8_t *output, void *scratch);
int32_t micronas_pad_scratch_bytes(const micronas_pad_params *params);

#ifdef __cplusplus
}
#endif

#endif
