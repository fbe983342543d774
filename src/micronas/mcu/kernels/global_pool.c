/* int8 global average pool: an average pool whose window is the image. */
#include "micronas_kernels.h"

#include "mean.h"

typedef micronas_global_pool_params params_t;

int32_t micronas_global_pool_scratch_bytes(const params_t *p) {
    (void)p;
    return 0;
}

void micronas_global_pool(const params_t *params, const int8_t *input, int8_t *output, void *scratch) {
    const params_t *p = params;
    const int32_t channels = p->channels;
    const mn_mean mean = mn_prepare_mean(p->pixels);
    int32_t channel = 0;
    (void)scratch;
#if MICRONAS_DSP
    for (; mean.is_short && channel + 4 <= channels; channel += 4) {
        uint32_t even = 0, odd = 0; /* sums of channels (0, 2) and (1, 3) in 16-bit lanes */
        const int8_t *x = input + channel;
        for (int32_t i = p->pixels; i > 0; i--, x += channels) {
            const uint32_t bytes = mn_load4(x);
            even = mn_sxtab16(even, bytes);
            odd = mn_sxtab16_odd(odd, bytes);
        }
        mn_store4(output + channel, mn_limit4(mn_mean4(even, odd, &mean), p->output_min, p->output_max));
    }
#endif
    for (; channel < channels; channel++) {
        int32_t sum = 0;
        const int8_t *x = input + channel;
        for (int32_t i = p->pixels; i > 0; i--, x += channels) sum += *x;
        output[channel] = (int8_t)mn_clamp(mn_mean_of(sum, &mean), p->output_min, p->output_max);
    }
}
