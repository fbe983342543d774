/* int8 average pool; padding is neither summed nor counted; halves away from zero. */
#include "micronas_kernels.h"

#include "mean.h"
#include "window.h"

typedef micronas_pool_params params_t;

int32_t micronas_average_pool_scratch_bytes(const params_t *p) {
    (void)p;
    return 0;
}

#if MICRONAS_DSP
MN_INLINE const int8_t *add_pixel(const int8_t *x, int32_t channels, uint32_t *even, uint32_t *odd) {
    const uint32_t bytes = mn_load4(x);
    *even = mn_sxtab16(*even, bytes);
    *odd = mn_sxtab16_odd(*odd, bytes);
    return x + channels;
}

/* Four channels of some pixels of a row; the usual counts without a loop. */
MN_INLINE void add_pixels(const int8_t *x, int32_t pixels, int32_t channels, uint32_t *even, uint32_t *odd) {
    for (; pixels > 3; pixels--) x = add_pixel(x, channels, even, odd);
    if (pixels == 3) x = add_pixel(x, channels, even, odd);
    if (pixels >= 2) x = add_pixel(x, channels, even, odd);
    add_pixel(x, channels, even, odd);
}
#endif

MN_INLINE void pool_pixel(const params_t *p, const int8_t *first, mn_span rows, mn_span columns, int8_t *output) {
    const int32_t channels = p->channels, line = p->in_width * channels;
    const mn_mean mean = mn_prepare_mean(rows.count * columns.count);
    int32_t channel = 0;
#if MICRONAS_DSP
    for (; mean.is_short && channel + 4 <= channels; channel += 4) {
        uint32_t even = 0, odd = 0; /* sums of channels (0, 2) and (1, 3) in 16-bit lanes */
        const int8_t *row = first + channel;
        for (int32_t i = rows.count; i > 0; i--, row += line) {
            add_pixels(row, columns.count, channels, &even, &odd);
        }
        mn_store4(output + channel, mn_limit4(mn_mean4(even, odd, &mean), p->output_min, p->output_max));
    }
#endif
    for (; channel < channels; channel++) {
        int32_t sum = 0;
        const int8_t *row = first + channel;
        for (int32_t i = rows.count; i > 0; i--, row += line) {
            const int8_t *x = row;
            for (int32_t j = columns.count; j > 0; j--, x += channels) sum += *x;
        }
        output[channel] = (int8_t)mn_clamp(mn_mean_of(sum, &mean), p->output_min, p->output_max);
    }
}

void micronas_average_pool(const params_t *params, const int8_t *input, int8_t *output, void *scratch) {
    const params_t *p = params;
    (void)scratch;
    for (int32_t y = 0; y < p->out_height; y++) {
        const mn_span rows = mn_inside(y, p->stride, p->pad, p->kernel, p->in_height);
        for (int32_t x = 0; x < p->out_width; x++) {
            const mn_span columns = mn_inside(x, p->stride, p->pad, p->kernel, p->in_width);
            const int8_t *first = input + (rows.first * p->in_width + columns.first) * p->channels;
            pool_pixel(p, first, rows, columns, output);
            output += p->channels;
        }
    }
}
