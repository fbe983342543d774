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

/* An output row of one channel. */
static void filter_row(const params_t *p, const int8_t *input, int8_t *output, int32_t y, int32_t channel) {
    const mn_span rows = mn_inside(y, p->stride, p->pad, p->kernel, p->in_height);
    const int8_t *weights = p->weights + (rows.first + p->pad - y * p->stride) * p->kernel * p->channels + channel;
    const int8_t *line = input + rows.first * p->in_width * p->channels + channel;
    int8_t *to = output + y * p->out_width * p->channels + channel;
    const mn_rescale rescale = mn_prepare(p->multiplier[channel], p->shift[channel], p->output_zero_point);
    for (int32_t x = 0; x < p->out_width; x++, to += p->channels) {
        const mn_span columns = mn_inside(x, p->stride, p->pad, p->kernel, p->in_width);
        const int8_t *first = line + columns.first * p->channels;
        const int8_t *w = weights + (columns.first + p->pad - x * p->stride) * p->channels;
        *to = finish(p, dot_one(p, first, w, rows, columns, p->bias[channel]), &rescale);
    }
}

#if MICRONAS_DSP

/* Four channels at one pixel. The assembly knows the offsets. */
typedef struct {
    const int8_t *x, *w;          /*  0 first operand and weight inside the image */
    int32_t step;                 /*  8 bytes to the next column's */
    int32_t columns, rows;        /* 12 how many are inside, at least 1 */
    int32_t x_jump, w_jump;       /* 20 bytes from behind a row's last to the next row's first */
    uint32_t minus_zero;          /* 28 in both lanes */
    int8_t *out;                  /* 32 */
    uint32_t low4, high4;         /* 36 the clamp, in all four bytes */
    int32_t bias[4];              /* 44 */
    struct {
        int32_t multiplier, addend, shift;
    } fast[4];                    /* 60 see rescale.h */
    mn_rescale rescale[4];
} window_t;

MN_INLINE void filter_window_in_c(const params_t *p, const window_t *k, int32_t relu_in) {
    int32_t acc[4] = {k->bias[0], k->bias[1], k->bias[2], k->bias[3]};
    const int8_t *x = k->x, *w = k->w;
    for (int32_t i = k->rows; i > 0; i--, x += k->x_jump, w += k->w_jump) {
        for (int32_t j = k->columns; j > 0; j--, x += k->step, w += k->step) {
            const mn_four v = mn_spread4(mn_load4(x), k->minus_zero, relu_in);
            const uint32_t bytes = mn_load4(w), even = mn_sxtb16(bytes), odd = mn_sxtb16_odd(bytes);
            acc[0] = mn_smlabb(even, v.even, acc[0]);
            acc[1] = mn_smlabb(odd, v.odd, acc[1]);
            acc[2] = mn_smlatt(even, v.even, acc[2]);
            acc[3] = mn_smlatt(odd, v.odd, acc[3]);
        }
    }
    for (int32_t c = 0; c < 4; c++) k->out[c] = finish(p, acc[c], &k->rescale[c]);
}

#if !defined(MICRONAS_EMULATE_DSP)

/* Two accumulators to int8, with the next two rescales at r0. */
#define FINISH(a, b)                                                                                        \
    "ldm r0!, {r8, r9, r10}\n\t"                                                                           \
    "ldm r0!, {r11, r12, lr}\n\t"                                                                          \
    "qadd " #a ", " #a ", " #a "\n\t"                                                                      \
    "qadd " #b ", " #b ", " #b "\n\t"                                                                      \
    "add r9, r9, " #a ", asr #31\n\t"                                                                      \
    "smmlar " #a ", " #a ", r8, r9\n\t"                                                                    \
    "add r12, r12, " #b ", asr #31\n\t"                                                                    \
    "smmlar " #b ", " #b ", r11, r12\n\t"                                                                  \
    "asr " #a ", " #a ", r10\n\t"                                                                          \
    "asr " #b ", " #b ", lr\n\t"                                                                           \
    "ssat " #a ", #8, " #a "\n\t"                                                                          \
    "ssat " #b ", #8, " #b "\n\t"

#define TAP(relu)                                                                                           \
    "ldr r8, [r0]\n\t"                                                                                     \
    "ldr r9, [r1]\n\t"                                                                                     \
    "add r0, r0, r2\n\t"                                                                                   \
    "sxtab16 r10, r12, r8\n\t"                                                                             \
    "add r1, r1, r2\n\t"                                                                                   \
    "sxtb16 r11, r9\n\t"                                                                                   \
    "sxtab16 r8, r12, r8, ror #8\n\t"                                                                      \
    relu                                                                                                    \
    "smlabb r4, r10, r11, r4\n\t"                                                                          \
    "sxtb16 r9, r9, ror #8\n\t"                                                                            \
    "smlatt r6, r10, r11, r6\n\t"                                                                          \
    "smlabb r5, r8, r9, r5\n\t"                                                                            \
    "smlatt r7, r8, r9, r7\n\t"

/* r0 x, r1 w, r2 step, r3 columns left, r4 to r7 accumulators, r8 to r11 values, r12 minus zero, lr rows left. */
#define WINDOW(relu)                                                                                        \
    "push {r0, r4-r11, lr}\n\t"                                                                            \
    "add r8, r0, #44\n\t"                                                                                  \
    "ldr r12, [r0, #28]\n\t"                                                                               \
    "ldr lr, [r0, #16]\n\t"                                                                                \
    "ldm r8, {r4-r7}\n\t"                                                                                  \
    "ldm r0, {r0-r3}\n"                                                                                    \
    "1:\n\t"                                                                                               \
    "cmp r3, #3\n\t"                                                                                       \
    "bne 2f\n\t"                                                                                           \
    TAP(relu)                                                                                               \
    TAP(relu)                                                                                               \
    TAP(relu)                                                                                               \
    "b 3f\n"                                                                                               \
    "2:\n\t"                                                                                               \
    TAP(relu)                                                                                               \
    "subs r3, #1\n\t"                                                                                      \
    "bne 2b\n"                                                                                             \
    "3:\n\t"                                                                                               \
    "ldr r8, [sp]\n\t"                                                                                     \
    "subs lr, #1\n\t"                                                                                      \
    "ldr r3, [r8, #12]\n\t"                                                                                \
    "ldr r9, [r8, #20]\n\t"                                                                                \
    "ldr r10, [r8, #24]\n\t"                                                                               \
    "add r0, r0, r9\n\t"                                                                                   \
    "add r1, r1, r10\n\t"                                                                                  \
    "bne 1b\n\t"                                                                                           \
    "add r0, r8, #60\n\t"                                                                                  \
    "ldr r1, [r8, #32]\n\t"                                                                                \
    "ldrd r2, r3, [r8, #36]\n\t"                                                                           \
    FINISH(r4, r5)                                                                                          \
    FINISH(r6, r7)                                                                                          \
    "bfi r4, r5, #8, #8\n\t"                                                                               \
    "bfi r4, r6, #16, #8\n\t"                                                                              \
    "bfi r4, r7, #24, #8\n\t"                                                                              \
    "ssub8 r8, r4, r2\n\t"                                                                                 \
    "sel r4, r4, r2\n\t"                                                                                   \
    "ssub8 r8, r4, r3\n\t"                                                                                 \
    "sel r4, r3, r4\n\t"                                                                                   \
    "str r4, [r1]\n\t"                                                                                     \
    "pop {r0, r4-r11, pc}\n"

MN_ASSEMBLY void filter_window(const window_t *window __attribute__((unused))) { __asm__ volatile(WINDOW("")); }

MN_ASSEMBLY void filter_window_relu_in(const window_t *window __attribute__((unused))) {
    __asm__ volatile(WINDOW("usat16 r10, #8, r10\n\tusat16 r8, #8, r8\n\t"));
}

#endif

MN_INLINE void run_window(const params_t *p, const window_t *k, int32_t is_fast) {
#if !defined(MICRONAS_EMULATE_DSP)
    if (is_fast) {
        if (p->relu_in) filter_window_relu_in(k);
        else filter_window(k);
        return;
    }
#endif
    (void)is_fast;
    if (p->relu_in) filter_window_in_c(p, k, 1);
    else filter_window_in_c(p, k, 0);
}

/* The constants of four channels; whether all have a fast rescale. */
static int32_t prepare_window(const params_t *p, int32_t channel, window_t *k) {
    int32_t is_fast = 1;
    k->step = p->channels;
    k->minus_zero = mn_both(-p->input_zero_point);
    k->low4 = mn_all4(p->output_min);
    k->high4 = mn_all4(p->output_max);
    for (int32_t c = 0; c < 4; c++) {
        const mn_rescale r = mn_prepare(p->multiplier[channel + c], p->shift[channel + c], p->output_zero_point);
        k->bias[c] = p->bias[channel + c];
        k->rescale[c] = r;
        k->fast[c].multiplier = r.multiplier;
        k->fast[c].addend = r.addend;
        k->fast[c].shift = r.shift;
        is_fast = is_fast && r.shift;
    }
    return is_fast;
}

/* An output row of four channels. */
static void filter_row_by_four(const params_t *p, const int8_t *input, int8_t *output, int32_t y, int32_t channel) {
    const mn_span rows = mn_inside(y, p->stride, p->pad, p->kernel, p->in_height);
    const int8_t *weights = p->weights + (rows.first + p->pad - y * p->stride) * p->kernel * p->channels + channel;
    const int8_t *line = input + rows.first * p->in_width * p->channels + channel;
    window_t k;
    const int32_t is_fast = prepare_window(p, channel, &k);
    k.rows = rows.count;
    k.out = output + y * p->out_width * p->channels + channel;
    for (int32_t x = 0; x < p->out_width; x++, k.out += p->channels) {
        const mn_span columns = mn_inside(x, p->stride, p->pad, p->kernel, p->in_width);
        k.x = line + columns.first * p->channels;
        k.w = weights + (columns.first + p->pad - x * p->stride) * p->channels;
        k.columns = columns.count;
        k.x_jump = (p->in_width - columns.count) * p->channels;
        k.w_jump = (p->kernel - columns.count) * p->channels;
        run_window(p, &k, is_fast);
    }
}

#endif

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
        for (; channel + 4 <= p->channels; channel += 4) filter_row_by_four(p, input, output, y, channel);
#endif
        for (; channel < p->channels; channel++) filter_row(p, input, output, y, channel);
    }
}
