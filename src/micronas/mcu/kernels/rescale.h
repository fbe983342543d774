/* Fixed-point rescaling as TFLite's reference has it (gemmlowp's double rounding), slow and fast.
 *
 * The fast form needs a right shift e in [1, 20] and is exact for every int32 accumulator a. With
 * d = 2a, saturated (where that saturates, |a| >= 2^30 and m >= 2^30, so the result is beyond int8 either way):
 *
 *     high = (d * m + 2^31) >> 32              is SaturatingRoundingDoublingHighMul(a, m), for
 *                                              truncation with a signed nudge rounds halves up;
 *     (high + 2^(e-1) - (d < 0)) >> e          is RoundingDivideByPOT(high, e): halves away from zero
 *                                              (where d < 0 but high is 0 both are 0, since e >= 1);
 *     zero point z: add z * 2^e before the shift.
 *
 * So one add of d >> 31 to the addend z * 2^e + 2^(e-1), one SMMLAR on it, one shift.
 */
#ifndef MICRONAS_RESCALE_H
#define MICRONAS_RESCALE_H

#include "simd.h"

typedef struct {
    int32_t multiplier;
    int32_t shift;      /* fast form: e, to the right; 0: only the slow form is exact */
    int32_t addend;     /* fast form: z * 2^e + 2^(e-1) */
    int32_t exponent;   /* slow form: TFLite's signed shift */
    int32_t zero_point; /* slow form: z */
} mn_rescale;

MN_INLINE int32_t mn_clamp(int32_t x, int32_t low, int32_t high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* SaturatingRoundingDoublingHighMul for a multiplier >= 0 (so that it cannot overflow). Where a long product is
 * a call (Cortex-M0+), from four products of halves: floor((a * m + 2^30) / 2^31). */
MN_INLINE int32_t mn_high_mul(int32_t a, int32_t multiplier) {
#if defined(MICRONAS_NO_DSP) || (defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1)
    const int32_t high = a >> 16, m_high = multiplier >> 16;
    const uint32_t low = (uint32_t)a & 0xffffu, m_low = (uint32_t)multiplier & 0xffffu;
    const int32_t left = high * (int32_t)m_low, right = (int32_t)(low * (uint32_t)m_high);
    const int32_t rest = (left & 0x7fff) + (right & 0x7fff) + (int32_t)((low * m_low) >> 16) + (1 << 14);
    return 2 * high * m_high + (left >> 15) + (right >> 15) + (rest >> 15);
#else
    return (int32_t)(((int64_t)a * multiplier + (1 << 30)) >> 31);
#endif
}

/* RoundingDivideByPOT */
MN_INLINE int32_t mn_divide_by_pot(int32_t x, int32_t exponent) {
    const int32_t mask = (int32_t)((1u << exponent) - 1u);
    const int32_t threshold = (mask >> 1) + (x < 0);
    return (x >> exponent) + ((x & mask) > threshold);
}

/* MultiplyByQuantizedMultiplier */
MN_INLINE int32_t mn_multiply(int32_t x, int32_t multiplier, int32_t shift) {
    const int32_t left = shift > 0 ? shift : 0, right = shift > 0 ? 0 : -shift;
    return mn_divide_by_pot(mn_high_mul((int32_t)((uint32_t)x << left), multiplier), right);
}

MN_INLINE mn_rescale mn_prepare(int32_t multiplier, int32_t shift, int32_t zero_point) {
    mn_rescale r = {multiplier, 0, 0, shift, zero_point};
#if MICRONAS_DSP
    if (shift <= -1 && shift >= -20) {
        r.shift = -shift;
        r.addend = (int32_t)((uint32_t)zero_point << r.shift) + (1 << (r.shift - 1));
    }
#endif
    return r;
}

/* The slow form. Limited before the zero point is added, so that the sum fits int32. */
static __attribute__((noinline, unused)) int32_t mn_apply_slow(int32_t acc, const mn_rescale *r) {
    return mn_clamp(mn_multiply(acc, r->multiplier, r->exponent), -512, 512) + r->zero_point;
}

#if MICRONAS_DSP
/* The fast form of a doubled accumulator. */
MN_INLINE int32_t mn_apply_doubled(int32_t doubled, int32_t multiplier, int32_t addend, int32_t shift) {
    return mn_smmlar(doubled, multiplier, addend + (doubled >> 31)) >> shift;
}
#endif

#if MICRONAS_DSP
/* Four int8 limited to [low, high]. */
MN_INLINE uint32_t mn_limit4(uint32_t bytes, int32_t low, int32_t high) {
    if (low > -128) bytes = mn_max4(bytes, mn_all4(low));
    if (high < 127) bytes = mn_min4(bytes, mn_all4(high));
    return bytes;
}
#endif

/* acc rescaled, zero point added; not clamped. */
MN_INLINE int32_t mn_apply(int32_t acc, const mn_rescale *r) {
#if MICRONAS_DSP
    if (__builtin_expect(r->shift != 0, 1)) return mn_apply_doubled(mn_double(acc), r->multiplier, r->addend, r->shift);
#endif
    return mn_apply_slow(acc, r);
}

#endif
