/* Copying and filling bytes without a C library: the barriers keep compilers from calling memcpy or memset. */
#ifndef MICRONAS_BYTES_H
#define MICRONAS_BYTES_H

#include "simd.h"

/* Unaligned words where the core has them (the portable path runs on cores without). */
#if MICRONAS_DSP
#define MN_WORD 4
#else
#define MN_WORD 1
#endif

MN_INLINE int8_t *mn_copy(int8_t *to, const int8_t *from, int32_t n) {
    int32_t i = 0;
    for (; i + MN_WORD <= n; i += MN_WORD) {
        __builtin_memcpy(to + i, from + i, MN_WORD);
        __asm__ volatile("" ::: "memory");
    }
    for (; i < n; i++) {
        to[i] = from[i];
        __asm__ volatile("" ::: "memory");
    }
    return to + n;
}

MN_INLINE int8_t *mn_fill(int8_t *to, int32_t value, int32_t n) {
    const uint32_t word = mn_all4(value);
    int32_t i = 0;
    for (; i + MN_WORD <= n; i += MN_WORD) {
        __builtin_memcpy(to + i, &word, MN_WORD);
        __asm__ volatile("" ::: "memory");
    }
    for (; i < n; i++) {
        to[i] = (int8_t)value;
        __asm__ volatile("" ::: "memory");
    }
    return to + n;
}

#endif
