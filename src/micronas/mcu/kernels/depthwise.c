/* int8 depthwise convolution, square kernel, any stride, padding and channels.
 *
 * Four channels at a time over all pixels, so that their constants are prepared once. A 1x1 kernel (a batch
 * normalisation that no convolution took in) runs one channel at a time with all its constants in registers.
 */
#include "micronas_kernels.h"

#include "dot.h"
#include "rescale.h"
#include "window.h"

typedef micronas_depthwise_params params_t;

int32_t micronas_depthwise_scratch_bytes(const params_t *p) {
    (void)p;
    return 0;
}

MN_INLINE int8_t finish(const params_t *p, int32_t acc, const mn_rescale *rescale) {
    return (int8_t)mn_clamp(mn_apply(acc, rescale), p->output_min, p->output_max);
}

MN_INLINE int32_t read(const params_t *p, const int8_t *x) {
    const int32_t value = *x - p->input_zero_point;
    return p->relu_in && value < 0 ? 0 : value;
}

/* One channel at one pixel; `first` is the first operand inside the image. */
static int32_t dot_one(const params_t *p, const int8_t *first, const int8_t *weights, mn_span rows, mn_span columns,
                       int32_t acc) {
    for (int32_t i = 0; i < rows.count; i++) {
        const int8_t *x = first + i * p->in_width * p->channels, *w = weights + i * p->kernel * p->channels;
        for (int32_t j = 0; j < columns.count; j++) acc += read(p, x + j * p->channels) * w[j * p->channels];
    }
    return acc;
}

#if MICRONAS_DSP
typedef struct {
    int32_t a, b, c, d;
} sums;

MN_INLINE sums dot_four(const params_t *p, const int8_t *first, const int8_t *weights, mn_span rows,
                        mn_span columns, sums acc, int32_t relu_in) {
    const uint32_t minus_zero = mn_both(-p->input_zero_point);
    for (int32_t i = rows.count; i > 0; i--) {
        const int8_t *x = first, *w = weights;
        for (int32_t j = columns.count; j > 0; j--) {
            const mn_four v = mn_spread4(mn_load4(x), minus_zero, relu_in);
            const uint32_t bytes = mn_load4(w), even = mn_sxtb16(bytes), odd = mn_sxtb16_odd(bytes);
            acc.a = mn_smlabb(even, v.even, acc.a);
            acc.b = mn_smlabb(odd, v.odd, acc.b);
            acc.c = mn_smlatt(even, v.even, acc.c);
            acc.d = mn_smlatt(odd, v.odd, acc.d);
            x += p->channels;
            w += p->channels;
        }
        first += p->in_width * p->channels;
        weights += p->kernel * p->channels;
    }
    return acc;
}
#endif

/* `width` (1 or 4) channels from `channel` on, over all pixels. */
MN_INLINE void filter(const params_t *p, const int8_t *input, int8_t *output, int32_t channel, int32_t width) {
    mn_rescale rescale[4];
    for (int32_t c = 0; c < width; c++)
        rescale[c] = mn_prepare(p->multiplier[channel + c], p->shift[channel + c], p->output_zero_point);
    for (int32_t y = 0; y < p->out_height; y++) {
        const mn_span rows = mn_inside(y, p->stride, p->pad, p->kernel, p->in_height);
        for (int32_t x = 0; x < p->out_width; x++) {
            const mn_span columns = mn_inside(x, p->stride, p->pad, p->kernel, p->in_width);
            const int32_t row = rows.first - (y * p->stride - p->pad), column = columns.first - (x * p->stride - p->pad);
            const int8_t *first = input + (rows.first * p->in_width + columns.first) * p->channels + channel;
            const int8_t *weights = p->weights + (row * p->kernel + column) * p->channels + channel;
            int8_t *to = output + (y * p->out_width + x) * p->channels + channel;
#if MICRONAS_DSP
            if (width == 4) {
                const sums bias = {p->bias[channel], p->bias[channel + 1], p->bias[channel + 2], p->bias[channel + 3]};
                const sums acc = p->relu_in ? dot_four(p, first, weights, rows, columns, bias, 1)
                                            : dot_four(p, first, weights, rows, columns, bias, 0);
                to[0] = finish(p, acc.a, &rescale[0]);
                to[1] = finish(p, acc.b, &rescale[1]);
                to[2] = finish(p, acc.c, &rescale[2]);
                to[3] = finish(p, acc.d, &rescale[3]);
                continue;
            }
#endif
            to[0] = finish(p, dot_one(p, first, weights, rows, columns, p->bias[channel]), &rescale[0]);
        }
    }
}

void micronas_depthwise(const params_t *params, const int8_t *input, int8_t *output, void *scratch) {
    int32_t channel = 0;
    (void)scratch;
#if MICRONAS_DSP
    for (; channel + 4 <= params->channels; channel += 4) filter(params, input, output, channel, 4);
#endif
    for (; channel < params->channels; channel++) filter(params, input, output, channel, 1);
}
