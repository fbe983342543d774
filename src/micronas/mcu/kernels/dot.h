/* Dot products of int8 weights with operands spread out to int16: the inner loops of convolution and linear.
 *
 * mn_spread writes x - zero_point (clamped at 0 if relu_in) as int16, in groups of four:
 * DSP order (a, c, b, d), so that SXTB16 brings the weights into the same order; else (a, b, c, d).
 */
#ifndef MICRONAS_DOT_H
#define MICRONAS_DOT_H

#include "simd.h"

/* A run of n values spread out; n is rounded up to a multiple of four, filled with zeros. */
MN_INLINE int32_t mn_groups(int32_t n) { return (n + 3) / 4; }

#if MICRONAS_DSP

typedef struct {
    uint32_t even, odd; /* lanes (a, c) and (b, d) */
} mn_four;

MN_INLINE mn_four mn_spread4(uint32_t bytes, uint32_t minus_zero, int32_t relu_in) {
    mn_four x = {mn_sxtab16(minus_zero, bytes), mn_sxtab16_odd(minus_zero, bytes)};
    if (relu_in) {
        x.even = mn_usat16_8(x.even);
        x.odd = mn_usat16_8(x.odd);
    }
    return x;
}

MN_INLINE void mn_spread_as(int16_t *to, const int8_t *from, int32_t n, int32_t zero_point, int32_t relu_in) {
    const uint32_t minus_zero = mn_both(-zero_point);
    for (int32_t i = n / 4; i > 0; i--) {
        const mn_four x = mn_spread4(mn_load4(from), minus_zero, relu_in);
        mn_store4(to, x.even);
        mn_store4(to + 2, x.odd);
        from += 4;
        to += 4;
    }
    if (n % 4) {
        mn_four x = mn_spread4(mn_load_tail(from, n % 4), minus_zero, relu_in);
        x.even = n % 4 < 3 ? x.even & 0xffffu : x.even;
        x.odd = n % 4 < 2 ? 0 : x.odd & 0xffffu;
        mn_store4(to, x.even);
        mn_store4(to + 2, x.odd);
    }
}

/* acc[2 * c + p] += dot of channel c's weights with pixel p's operands, over `groups` groups of four. */
MN_INLINE void mn_dot_2x2(const int8_t *w0, const int8_t *w1, const int16_t *x0, const int16_t *x1, int32_t groups,
                          int32_t acc[4]) {
    int32_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];
    for (int32_t i = groups; i > 0; i--) {
        const uint32_t w = mn_load4(w0), v = mn_load4(w1);
        const uint32_t w_even = mn_sxtb16(w), w_odd = mn_sxtb16_odd(w);
        const uint32_t v_even = mn_sxtb16(v), v_odd = mn_sxtb16_odd(v);
        const uint32_t x_even = mn_load4(x0), x_odd = mn_load4(x0 + 2);
        const uint32_t y_even = mn_load4(x1), y_odd = mn_load4(x1 + 2);
        a = mn_smlad(w_odd, x_odd, mn_smlad(w_even, x_even, a));
        b = mn_smlad(w_odd, y_odd, mn_smlad(w_even, y_even, b));
        c = mn_smlad(v_odd, x_odd, mn_smlad(v_even, x_even, c));
        d = mn_smlad(v_odd, y_odd, mn_smlad(v_even, y_even, d));
        w0 += 4;
        w1 += 4;
        x0 += 4;
        x1 += 4;
    }
    acc[0] = a;
    acc[1] = b;
    acc[2] = c;
    acc[3] = d;
}

/* acc[c] += dot of channel c's weights with one pixel's operands. */
MN_INLINE void mn_dot_2x1(const int8_t *w0, const int8_t *w1, const int16_t *x, int32_t groups, int32_t acc[2]) {
    int32_t a = acc[0], b = acc[1];
    for (int32_t i = groups; i > 0; i--) {
        const uint32_t w = mn_load4(w0), v = mn_load4(w1);
        const uint32_t x_even = mn_load4(x), x_odd = mn_load4(x + 2);
        a = mn_smlad(mn_sxtb16_odd(w), x_odd, mn_smlad(mn_sxtb16(w), x_even, a));
        b = mn_smlad(mn_sxtb16_odd(v), x_odd, mn_smlad(mn_sxtb16(v), x_even, b));
        w0 += 4;
        w1 += 4;
        x += 4;
    }
    acc[0] = a;
    acc[1] = b;
}

/* The last `count` (1 to 3) values of a dot product with one pixel's operands. */
MN_INLINE int32_t mn_dot_tail(const int8_t *w, const int16_t *x, int32_t count, int32_t acc) {
    const uint32_t bytes = mn_load_tail(w, count);
    acc = mn_smlad(mn_sxtb16(bytes), mn_load4(x), acc);
    return mn_smlad(mn_sxtb16_odd(bytes), mn_load4(x + 2), acc);
}

#else

MN_INLINE void mn_spread_as(int16_t *to, const int8_t *from, int32_t n, int32_t zero_point, int32_t relu_in) {
    int32_t i = 0;
    for (; i < n; i++) {
        const int32_t x = from[i] - zero_point;
        to[i] = (int16_t)(relu_in && x < 0 ? 0 : x);
    }
    for (; i % 4; i++) to[i] = 0;
}

#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1

/* Cortex-M0+ has eight registers that load and multiply, so the accumulators live in the others. */
typedef struct {
    const int16_t *x0;
    const int8_t *w0;
    int32_t x1, w1; /* bytes from x0, from w0 */
    const int8_t *end;
    int32_t *acc;
} mn_dot_2x2_arguments;

/* r0 x0, r1 w0, r2 bytes to x1, r3 bytes to w1, r4 zero; r5 to r7 values; r8 to r11 accumulators, r12 end of w0. */
#define MN_ONE                                                                                              \
    "ldrsb r6, [r1, r4]\n\t"                                                                               \
    "ldrsh r5, [r0, r4]\n\t"                                                                               \
    "mov r7, r5\n\t"                                                                                       \
    "muls r7, r6, r7\n\t"                                                                                  \
    "add r8, r7\n\t"                                                                                       \
    "ldrsh r7, [r0, r2]\n\t"                                                                               \
    "muls r6, r7, r6\n\t"                                                                                  \
    "add r9, r6\n\t"                                                                                       \
    "ldrsb r6, [r1, r3]\n\t"                                                                               \
    "muls r5, r6, r5\n\t"                                                                                  \
    "add r10, r5\n\t"                                                                                      \
    "muls r7, r6, r7\n\t"                                                                                  \
    "add r11, r7\n\t"                                                                                      \
    "adds r0, #2\n\t"                                                                                      \
    "adds r1, #1\n\t"

MN_ASSEMBLY void mn_dot_2x2_thumb(const mn_dot_2x2_arguments *arguments __attribute__((unused))) {
    __asm__ volatile(
        ".syntax unified\n\t"
        "push {r0, r4-r7, lr}\n\t"
        "mov r4, r8\n\t"
        "mov r5, r9\n\t"
        "mov r6, r10\n\t"
        "mov r7, r11\n\t"
        "push {r4-r7}\n\t"
        "ldr r1, [r0, #16]\n\t"
        "mov r12, r1\n\t"
        "ldr r1, [r0, #20]\n\t"
        "ldm r1!, {r4-r7}\n\t"
        "mov r8, r4\n\t"
        "mov r9, r5\n\t"
        "mov r10, r6\n\t"
        "mov r11, r7\n\t"
        "ldm r0, {r0-r3}\n\t"
        "movs r4, #0\n"
        "1:\n\t"
        MN_ONE MN_ONE MN_ONE MN_ONE
        "cmp r1, r12\n\t"
        "bne 1b\n\t"
        "ldr r0, [sp, #16]\n\t"
        "ldr r1, [r0, #20]\n\t"
        "mov r4, r8\n\t"
        "mov r5, r9\n\t"
        "mov r6, r10\n\t"
        "mov r7, r11\n\t"
        "stm r1!, {r4-r7}\n\t"
        "pop {r4-r7}\n\t"
        "mov r8, r4\n\t"
        "mov r9, r5\n\t"
        "mov r10, r6\n\t"
        "mov r11, r7\n\t"
        "pop {r0, r4-r7, pc}\n");
}

MN_INLINE void mn_dot_2x2(const int8_t *w0, const int8_t *w1, const int16_t *x0, const int16_t *x1, int32_t groups,
                          int32_t acc[4]) {
    const mn_dot_2x2_arguments arguments = {x0, w0, 2 * (int32_t)(x1 - x0), (int32_t)(w1 - w0), w0 + 4 * groups, acc};
    if (groups) mn_dot_2x2_thumb(&arguments);
}

#else

MN_INLINE void mn_dot_2x2(const int8_t *w0, const int8_t *w1, const int16_t *x0, const int16_t *x1, int32_t groups,
                          int32_t acc[4]) {
    int32_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];
    for (int32_t i = 0; i < 4 * groups; i++) {
        const int32_t w = w0[i], v = w1[i], x = x0[i], y = x1[i];
        a += w * x;
        b += w * y;
        c += v * x;
        d += v * y;
    }
    acc[0] = a;
    acc[1] = b;
    acc[2] = c;
    acc[3] = d;
}

#endif

MN_INLINE void mn_dot_2x1(const int8_t *w0, const int8_t *w1, const int16_t *x, int32_t groups, int32_t acc[2]) {
    int32_t a = acc[0], b = acc[1];
    for (int32_t i = 0; i < 4 * groups; i++) {
        a += w0[i] * x[i];
        b += w1[i] * x[i];
    }
    acc[0] = a;
    acc[1] = b;
}

MN_INLINE int32_t mn_dot_tail(const int8_t *w, const int16_t *x, int32_t count, int32_t acc) {
    for (int32_t i = 0; i < count; i++) acc += w[i] * x[i];
    return acc;
}

#endif

/* n values spread out, see above. */
MN_INLINE void mn_spread(int16_t *to, const int8_t *from, int32_t n, int32_t zero_point, int32_t relu_in) {
    if (relu_in) mn_spread_as(to, from, n, zero_point, 1);
    else mn_spread_as(to, from, n, zero_point, 0);
}

/* n (even) zeros. The barrier keeps compilers from calling memset. */
MN_INLINE void mn_zeros(int16_t *to, int32_t n) {
    for (int32_t i = 0; i < n; i += 2) {
        to[i] = 0;
        to[i + 1] = 0;
        __asm__ volatile("" ::: "memory");
    }
}

#endif
