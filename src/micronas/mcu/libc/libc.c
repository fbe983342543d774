/* The four functions a C compiler may call by itself. Weak: a program's own win.
 * The empty asm keeps the loops from being recognised as the very call they implement. */
#include "string.h"

#define KEEP_LOOP __asm__ volatile("" ::: "memory")

__attribute__((weak)) void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    unsigned char *out = to;
    for (const unsigned char *in = from; count > 0; count--) {
        *out++ = *in++;
        KEEP_LOOP;
    }
    return to;
}

__attribute__((weak)) void *memmove(void *to, const void *from, size_t count)
{
    unsigned char *out = to;
    const unsigned char *in = from;
    if (out <= in)
        return memcpy(to, from, count);
    while (count > 0) {
        count--;
        out[count] = in[count];
        KEEP_LOOP;
    }
    return to;
}

__attribute__((weak)) void *memset(void *to, int value, size_t count)
{
    unsigned char *out = to;
    for (; count > 0; count--) {
        *out++ = (unsigned char)value;
        KEEP_LOOP;
    }
    return to;
}

__attribute__((weak)) int memcmp(const void *left, const void *right, size_t count)
{
    const unsigned char *a = left, *b = right;
    for (; count > 0; count--, a++, b++) {
        if (*a != *b)
            return *a - *b;
    }
    return 0;
}
