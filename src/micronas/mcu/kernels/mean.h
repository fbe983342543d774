/* Division of a sum of int8 values by their count, rounded to nearest, halves away from zero.
 *
 * For 2 <= c <= 181 and |s| <= 128 c it is exact as (s * r + 2^22) >> 23 with r = floor(2^23 / c) + 1: the
 * factor is too large by at most 2^-23, so s * r / 2^23 is off by at most 128 c / 2^23 < 1 / (2 c), which
 * crosses no tie, and off *away* from zero, so a tie itself rounds away from zero. (c = 1: r = 2^23.)
 * The DSP form is the same with 31 for 23. Proved again by trying every s and c in the tests.
 */
#ifndef MICRONAS_MEAN_H
#define MICRONAS_MEAN_H

#include "rescale.h"

typedef struct {
    int32_t count, is_short;     /* is_short: count <= 181, the reciprocals hold */
    int32_t reciprocal;          /* of 2^23 */
    int32_t wide_reciprocal;     /* of 2^31, DSP only */
} mn_mean;

MN_INLINE mn_mean mn_prepare_mean(int32_t count) {
    mn_mean mean = {count, count <= 181, (1 << 23) / count + (count > 1), 0};
#if MICRONAS_DSP
    mean.wide_reciprocal = count > 1 ? (int32_t)(0x80000000u / (uint32_t)count) + 1 : INT32_MAX;
#endif
    return mean;
}

MN_INLINE int32_t mn_mean_of(int32_t sum, const mn_mean *mean) {
    if (mean->is_short) return (sum * mean->reciprocal + (1 << 22)) >> 23;
    return (sum > 0 ? sum + mean->count / 2 : sum - mean->count / 2) / mean->count;
}

#if MICRONAS_DSP
/* Four means, packed in order, of sums in lanes (0, 2) and (1, 3). */
MN_INLINE uint32_t mn_mean4(uint32_t even, uint32_t odd, const mn_mean *mean) {
    const int32_t half = 1 << 14;
    const uint32_t a = (uint32_t)(mn_smlawb(mean->wide_reciprocal, even, half) >> 15);
    const uint32_t b = (uint32_t)(mn_smlawb(mean->wide_reciprocal, odd, half) >> 15);
    const uint32_t c = (uint32_t)(mn_smlawt(mean->wide_reciprocal, even, half) >> 15);
    const uint32_t d = (uint32_t)(mn_smlawt(mean->wide_reciprocal, odd, half) >> 15);
    return (a & 0xffu) | ((b & 0xffu) << 8) | ((c & 0xffu) << 16) | (d << 24);
}
#endif

#endif
