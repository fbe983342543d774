/* int8 ReLU between two scales: one table of 256 results, then a look-up an element. */
#include "micronas_kernels.h"

#include "rescale.h"

typedef micronas_relu_params params_t;

int32_t micronas_relu_scratch_bytes(const params_t *p) {
    (void)p;
    return 256;
}

void micronas_relu(const params_t *params, const int8_t *input, int8_t *output, void *scratch) {
    const params_t *p = params;
    int8_t *table = (int8_t *)scratch; /* indexed by the operand as unsigned byte */
    const mn_rescale rescale = mn_prepare(p->multiplier, p->shift, p->output_zero_point);
    for (int32_t x = -128; x < 128; x++) {
        const int32_t centred = x - p->input_zero_point;
        const int32_t value = mn_apply(centred > 0 ? centred : 0, &rescale);
        table[x & 0xff] = (int8_t)mn_clamp(value, p->output_min, p->output_max);
    }
    for (int32_t i = 0; i < p->size; i++) output[i] = table[(uint8_t)input[i]];
}
