/* int8 depthwise convolution, square kernel, any stride, padding and channels.
 *
 * Row by row, four channels at a time. A 1x1 kernel (a batch normalisation that no convolution took in) runs
 * one channel at a time with all its constants in registers.
 */
#include "micronas_kernels.h"

#include "dot.h"
#include "rescale.h"
#include "window.h"

typedef micronas_depthwise_params params_t;

enum { BLOCK_BYTES = 2048, LEAST_PIXELS = 64 }; /* of a 1x1 kernel's blocks */

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

/* An output row of `width` (1 or 4) channels from `channel` on. */
static void filter_row(const params_t *p, const int8_t *input, int8_t *output, int32_t y, int32_t channel,
                       int32_t width) {
    const mn_span rows = mn_inside(y, p->stride, p->pad, p->kernel, p->in_height);
    const int8_t *weights = p->weights + (rows.first + p->pad - y * p->stride) * p->kernel * p->channels + channel;
    const int8_t *line = input + rows.first * p->in_width * p->channels + channel;
    int8_t *to = output + y * p->out_width * p->channels + channel;
    mn_rescale rescale[4];
    for (int32_t c = 0; c < width; c++)
        rescale[c] = mn_prepare(p->multiplier[channel + c], p->shift[channel + c], p->output_zero_point);
    for (int32_t x = 0; x < p->out_width; x++, to += p->channels) {
        const mn_span columns = mn_inside(x, p->stride, p->pad, p->kernel, p->in_width);
        const int8_t *first = line + columns.first * p->channels;
        const int8_t *w = weights + (columns.first + p->pad - x * p->stride) * p->channels;
#if MICRONAS_DSP
        if (width == 4) {
            const sums bias = {p->bias[channel], p->bias[channel + 1], p->bias[channel + 2], p->bias[channel + 3]};
            const sums acc = p->relu_in ? dot_four(p, first, w, rows, columns, bias, 1)
                                        : dot_four(p, first, w, rows, columns, bias, 0);
            to[0] = finish(p, acc.a, &rescale[0]);
            to[1] = finish(p, acc.b, &rescale[1]);
            to[2] = finish(p, acc.c, &rescale[2]);
            to[3] = finish(p, acc.d, &rescale[3]);
            continue;
        }
#endif
        to[0] = finish(p, dot_one(p, first, w, rows, columns, p->bias[channel]), &rescale[0]);
    }
}

/* One channel of a 1x1 kernel over some pixels. */
static void points_slowly(const params_t *p, int32_t channel, const int8_t *x, int8_t *y, int32_t pixels) {
    const mn_rescale rescale = mn_prepare(p->multiplier[channel], p->shift[channel], p->output_zero_point);
    for (; pixels > 0; pixels--, x += p->channels, y += p->channels)
        *y = finish(p, p->bias[channel] + read(p, x) * p->weights[channel], &rescale);
}

#if MICRONAS_DSP

/* What one channel of a 1x1 kernel does to every pixel; weight and bias doubled for the fast rescale. */
typedef struct {
    int32_t zero_point, weight2, bias2, multiplier, addend, shift, low, high;
} point_t;

/* Whether the channel has a fast form: no accumulator reaches 2^30, so that doubling it is exact. */
static int32_t prepare_point(const params_t *p, int32_t channel, point_t *k) {
    const mn_rescale rescale = mn_prepare(p->multiplier[channel], p->shift[channel], p->output_zero_point);
    const int32_t weight = p->weights[channel], bias = p->bias[channel], limit = (1 << 30) - 256 * 256;
    if (!rescale.shift || bias > limit || bias < -limit) return 0;
    k->zero_point = p->input_zero_point;
    k->weight2 = 2 * weight;
    k->bias2 = 2 * (bias - weight * p->input_zero_point);
    k->multiplier = rescale.multiplier;
    k->addend = rescale.addend;
    k->shift = rescale.shift;
    k->low = p->output_min;
    k->high = p->output_max;
    return 1;
}

MN_INLINE int32_t point(const point_t *k, int32_t x, int32_t relu_in, int32_t is_clamped) {
    const int32_t value = relu_in && x < k->zero_point ? k->zero_point : x;
    const int32_t doubled = value * k->weight2 + k->bias2;
    const int32_t y = mn_saturate8(mn_apply_doubled(doubled, k->multiplier, k->addend, k->shift));
    return is_clamped ? mn_clamp(y, k->low, k->high) : y;
}

MN_INLINE void points(point_t k, const int8_t *x, int8_t *y, int32_t pixels, int32_t step, int32_t relu_in,
                      int32_t is_clamped) {
    for (; pixels > 0; pixels--, x += step, y += step) y[0] = (int8_t)point(&k, x[0], relu_in, is_clamped);
}

#if !defined(MICRONAS_EMULATE_DSP)

/* `points` without any clamp but int8's, four pixels at a time. The assembly knows the order of the fields. */
typedef struct {
    const int8_t *x;
    int8_t *y;
    int32_t fours, step, weight2, bias2, multiplier, addend, shift;
} fours_t;

#define FOUR(what) what(r9) what(r10) what(r11) what(r12)
#define SCALE(a) "mla " #a ", " #a ", r4, r5\n\t"
#define RESCALE(a) "add lr, r7, " #a ", asr #31\n\tsmmlar " #a ", " #a ", r6, lr\n\t"
#define SHIFT(a) "asr " #a ", " #a ", r8\n\t"

/* r0 x, r1 y, r2 fours left, r3 step, r4 weight, r5 bias, r6 multiplier, r7 addend, r8 shift; r9 to r12 four values. */
MN_ASSEMBLY void points_by_four(const fours_t *fours __attribute__((unused))) {
    __asm__ volatile(
        "push {r4-r11, lr}\n\t"
        "ldm r0, {r0-r8}\n"
        "1:\n\t"
        "ldrsb r9, [r0]\n\t"
        "ldrsb r10, [r0, r3]\n\t"
        "add r0, r0, r3, lsl #1\n\t"
        "ldrsb r11, [r0]\n\t"
        "ldrsb r12, [r0, r3]\n\t"
        "add r0, r0, r3, lsl #1\n\t"
        FOUR(SCALE)
        FOUR(RESCALE)
        FOUR(SHIFT)
        "subs r2, #1\n\t"
        "ssat r9, #8, r9\n\t"
        "strb r9, [r1]\n\t"
        "ssat r10, #8, r10\n\t"
        "strb r10, [r1, r3]\n\t"
        "add r1, r1, r3, lsl #1\n\t"
        "ssat r11, #8, r11\n\t"
        "strb r11, [r1]\n\t"
        "ssat r12, #8, r12\n\t"
        "strb r12, [r1, r3]\n\t"
        "add r1, r1, r3, lsl #1\n\t"
        "bne 1b\n\t"
        "pop {r4-r11, pc}\n");
}

/* Every pixel of a channel. */
static void points_quickly(const point_t *k, const int8_t *x, int8_t *y, int32_t pixels, int32_t step) {
    const int32_t done = pixels / 4 * 4;
    const fours_t fours = {x, y, pixels / 4, step, k->weight2, k->bias2, k->multiplier, k->addend, k->shift};
    if (done) points_by_four(&fours);
    points(*k, x + done * step, y + done * step, pixels - done, step, 0, 0);
}

#else

static void points_quickly(const point_t *k, const int8_t *x, int8_t *y, int32_t pixels, int32_t step) {
    points(*k, x, y, pixels, step, 0, 0);
}

#endif

#endif

/* A 1x1 kernel without stride over some pixels: one channel at a time, its constants in registers. */
static void filter_points(const params_t *p, const int8_t *input, int8_t *output, int32_t pixels) {
    for (int32_t channel = 0; channel < p->channels; channel++) {
        const int8_t *x = input + channel;
        int8_t *y = output + channel;
#if MICRONAS_DSP
        const int32_t step = p->channels, is_clamped = p->output_min > -128 || p->output_max < 127;
        point_t k;
        if (prepare_point(p, channel, &k)) {
            if (p->relu_in) points(k, x, y, pixels, step, 1, 1);
            else if (is_clamped) points(k, x, y, pixels, step, 0, 1);
            else points_quickly(&k, x, y, pixels, step);
            continue;
        }
#endif
        points_slowly(p, channel, x, y, pixels);
    }
}

/* In blocks that stay in a small data cache while every channel passes over them. */
static void filter_blocks(const params_t *p, const int8_t *input, int8_t *output) {
    const int32_t pixels = p->in_height * p->in_width;
    const int32_t block = BLOCK_BYTES / p->channels > LEAST_PIXELS ? BLOCK_BYTES / p->channels : LEAST_PIXELS;
    for (int32_t first = 0; first < pixels; first += block) {
        const int32_t at = first * p->channels, count = pixels - first < block ? pixels - first : block;
        filter_points(p, input + at, output + at, count);
    }
}

void micronas_depthwise(const params_t *params, const int8_t *input, int8_t *output, void *scratch) {
    const params_t *p = params;
    (void)scratch;
    if (p->kernel == 1 && p->stride == 1 && p->pad == 0) {
        filter_blocks(p, input, output);
        return;
    }
    for (int32_t y = 0; y < p->out_height; y++) {
        int32_t channel = 0;
#if MICRONAS_DSP
        for (; channel + 4 <= p->channels; channel += 4) filter_row(p, input, output, y, channel, 4);
#endif
        for (; channel < p->channels; channel++) filter_row(p, input, output, y, channel, 1);
    }
}
