/* The DSP extension's instructions, one C function each, and the same functions in C for the host.
 *
 * MICRONAS_DSP is 1 on cores that have the extension (Cortex-M4, M7, M33), else 0: the kernels then take
 * their portable path. With -DMICRONAS_EMULATE_DSP the DSP path runs on any machine, which is how it is
 * put under sanitizers. -DMICRONAS_NO_DSP forces the portable path.
 */
#ifndef MICRONAS_SIMD_H
#define MICRONAS_SIMD_H

#include <stdint.h>

#if defined(MICRONAS_NO_DSP)
#define MICRONAS_DSP 0
#elif defined(__ARM_FEATURE_DSP) || defined(MICRONAS_EMULATE_DSP)
#define MICRONAS_DSP 1
#else
#define MICRONAS_DSP 0
#endif

#define MN_INLINE static inline __attribute__((always_inline, unused))

/* A function whose body is assembly. Its one argument is in r0 though no C reads it, and it saves what it uses by
 * the calling convention: the compiler must look neither in nor through it. */
#if defined(__clang__)
#define MN_ASSEMBLY static __attribute__((naked, noinline, unused))
#else
#define MN_ASSEMBLY static __attribute__((naked, noipa, unused))
#endif

/* Four bytes from any address. The builtin never becomes a call. */
MN_INLINE uint32_t mn_load4(const void *from) {
    uint32_t word;
    __builtin_memcpy(&word, from, 4);
    return word;
}

MN_INLINE void mn_store4(void *to, uint32_t word) { __builtin_memcpy(to, &word, 4); }

/* The low `count` (1 to 3) bytes of a word from any address, the others zero; reads no byte beyond. */
MN_INLINE uint32_t mn_load_tail(const int8_t *from, int32_t count) {
    uint32_t word = (uint8_t)from[0];
    if (count > 1) word |= (uint32_t)(uint8_t)from[1] << 8;
    if (count > 2) word |= (uint32_t)(uint8_t)from[2] << 16;
    return word;
}

/* A value (-32768 to 32767) in both 16-bit lanes; a value (-128 to 127) in all four 8-bit lanes. */
MN_INLINE uint32_t mn_both(int32_t value) { return ((uint32_t)value & 0xffffu) * 0x10001u; }
MN_INLINE uint32_t mn_all4(int32_t value) { return ((uint32_t)value & 0xffu) * 0x1010101u; }

#if MICRONAS_DSP && !defined(MICRONAS_EMULATE_DSP)

/* acc + a.low * b.low + a.high * b.high */
MN_INLINE int32_t mn_smlad(uint32_t a, uint32_t b, int32_t acc) {
    int32_t result;
    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(acc));
    return result;
}

/* Bytes 0 and 2, or 1 and 3, sign-extended to 16-bit lanes; with `add`, added to its lanes. */
MN_INLINE uint32_t mn_sxtb16(uint32_t x) {
    uint32_t result;
    __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(x));
    return result;
}
MN_INLINE uint32_t mn_sxtb16_odd(uint32_t x) {
    uint32_t result;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(x));
    return result;
}
MN_INLINE uint32_t mn_sxtab16(uint32_t add, uint32_t x) {
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(add), "r"(x));
    return result;
}
MN_INLINE uint32_t mn_sxtab16_odd(uint32_t add, uint32_t x) {
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(add), "r"(x));
    return result;
}

/* Both 16-bit lanes limited to [0, 255]. */
MN_INLINE uint32_t mn_usat16_8(uint32_t x) {
    uint32_t result;
    __asm__("usat16 %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
}

/* acc + a.low * b.low; acc + a.high * b.high */
MN_INLINE int32_t mn_smlabb(uint32_t a, uint32_t b, int32_t acc) {
    int32_t result;
    __asm__("smlabb %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(acc));
    return result;
}
MN_INLINE int32_t mn_smlatt(uint32_t a, uint32_t b, int32_t acc) {
    int32_t result;
    __asm__("smlatt %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(acc));
    return result;
}

/* acc + ((m * x.low) >> 16); acc + ((m * x.high) >> 16) */
MN_INLINE int32_t mn_smlawb(int32_t m, uint32_t x, int32_t acc) {
    int32_t result;
    __asm__("smlawb %0, %1, %2, %3" : "=r"(result) : "r"(m), "r"(x), "r"(acc));
    return result;
}
MN_INLINE int32_t mn_smlawt(int32_t m, uint32_t x, int32_t acc) {
    int32_t result;
    __asm__("smlawt %0, %1, %2, %3" : "=r"(result) : "r"(m), "r"(x), "r"(acc));
    return result;
}

/* acc + ((a * b + 2^31) >> 32) */
MN_INLINE int32_t mn_smmlar(int32_t a, int32_t b, int32_t acc) {
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(acc));
    return result;
}

/* 2x, limited to int32. */
MN_INLINE int32_t mn_double(int32_t x) {
    int32_t result;
    __asm__("qadd %0, %1, %1" : "=r"(result) : "r"(x));
    return result;
}

MN_INLINE int32_t mn_saturate8(int32_t x) {
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
}

/* The larger, the smaller of four signed bytes each. */
MN_INLINE uint32_t mn_max4(uint32_t a, uint32_t b) {
    uint32_t result;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b));
    return result;
}
MN_INLINE uint32_t mn_min4(uint32_t a, uint32_t b) {
    uint32_t result;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(result) : "r"(a), "r"(b));
    return result;
}

#elif MICRONAS_DSP

MN_INLINE int32_t mn_low(uint32_t x) { return (int16_t)(x & 0xffffu); }
MN_INLINE int32_t mn_high(uint32_t x) { return (int16_t)(x >> 16); }
MN_INLINE uint32_t mn_lanes(int32_t low, int32_t high) {
    return ((uint32_t)low & 0xffffu) | (((uint32_t)high & 0xffffu) << 16);
}
MN_INLINE int32_t mn_wrap(int64_t x) { return (int32_t)(uint32_t)((uint64_t)x & 0xffffffffu); }
MN_INLINE int32_t mn_byte(uint32_t x, uint32_t index) { return (int8_t)((x >> (8 * index)) & 0xffu); }

MN_INLINE int32_t mn_smlabb(uint32_t a, uint32_t b, int32_t acc) {
    return mn_wrap((int64_t)acc + mn_low(a) * mn_low(b));
}
MN_INLINE int32_t mn_smlatt(uint32_t a, uint32_t b, int32_t acc) {
    return mn_wrap((int64_t)acc + mn_high(a) * mn_high(b));
}
MN_INLINE int32_t mn_smlad(uint32_t a, uint32_t b, int32_t acc) { return mn_smlatt(a, b, mn_smlabb(a, b, acc)); }
MN_INLINE uint32_t mn_sxtab16(uint32_t add, uint32_t x) {
    return mn_lanes(mn_low(add) + mn_byte(x, 0), mn_high(add) + mn_byte(x, 2));
}
MN_INLINE uint32_t mn_sxtab16_odd(uint32_t add, uint32_t x) {
    return mn_lanes(mn_low(add) + mn_byte(x, 1), mn_high(add) + mn_byte(x, 3));
}
MN_INLINE uint32_t mn_sxtb16(uint32_t x) { return mn_sxtab16(0, x); }
MN_INLINE uint32_t mn_sxtb16_odd(uint32_t x) { return mn_sxtab16_odd(0, x); }
MN_INLINE int32_t mn_limit(int64_t x, int32_t low, int32_t high) {
    return x < low ? low : x > high ? high : (int32_t)x;
}
MN_INLINE uint32_t mn_usat16_8(uint32_t x) {
    return mn_lanes(mn_limit(mn_low(x), 0, 255), mn_limit(mn_high(x), 0, 255));
}
MN_INLINE int32_t mn_smlawb(int32_t m, uint32_t x, int32_t acc) {
    return mn_wrap(acc + (((int64_t)m * mn_low(x)) >> 16));
}
MN_INLINE int32_t mn_smlawt(int32_t m, uint32_t x, int32_t acc) {
    return mn_wrap(acc + (((int64_t)m * mn_high(x)) >> 16));
}
MN_INLINE int32_t mn_smmlar(int32_t a, int32_t b, int32_t acc) {
    return mn_wrap(acc + (((int64_t)a * b + 0x80000000LL) >> 32));
}
MN_INLINE int32_t mn_double(int32_t x) { return mn_limit((int64_t)x * 2, INT32_MIN, INT32_MAX); }
MN_INLINE int32_t mn_saturate8(int32_t x) { return mn_limit(x, -128, 127); }
MN_INLINE uint32_t mn_max4(uint32_t a, uint32_t b) {
    uint32_t result = 0;
    for (uint32_t i = 0; i < 4; i++) {
        const int32_t x = mn_byte(a, i), y = mn_byte(b, i);
        result |= ((uint32_t)(x > y ? x : y) & 0xffu) << (8 * i);
    }
    return result;
}
MN_INLINE uint32_t mn_min4(uint32_t a, uint32_t b) { return ~mn_max4(~a, ~b); }

#endif

#endif
