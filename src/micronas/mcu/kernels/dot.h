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
