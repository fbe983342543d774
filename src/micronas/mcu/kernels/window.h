/* The part of a square window that lies inside the image. */
#ifndef MICRONAS_WINDOW_H
#define MICRONAS_WINDOW_H

#include "simd.h"

typedef struct {
    int32_t first, count; /* first position inside, how many */
} mn_span;

/* Along one axis: the window of output position `at`, cut to [0, size). */
MN_INLINE mn_span mn_inside(int32_t at, int32_t stride, int32_t pad, int32_t kernel, int32_t size) {
    const int32_t start = at * stride - pad, stop = start + kernel;
    const int32_t first = start > 0 ? start : 0, end = stop < size ? stop : size;
    const mn_span span = {first, end > first ? end - first : 0};
    return span;
}

#endif
