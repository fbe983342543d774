/* Small int8 loops in the manner of the kernels, for tests of the toolchain, the emulator and the timing model. */
#include <stdint.h>
#include <string.h>

int32_t started = 7; /* initialised data */
static const int8_t table[4] = {1, 2, 3, 4};

int32_t dot(const int8_t *a, const int8_t *b, int32_t count)
{
    int32_t sum = started + table[count & 3];
    for (int32_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

int32_t sixth(int32_t a, int32_t b, int32_t c, int32_t d, int32_t e, int32_t f) { return a + b + c + d + e * 10 + f; }

#ifdef WITH_RUNTIME
int64_t divide(int64_t a, int64_t b) { return a / b; } /* a call of the compiler's helper, which zig takes seconds to build */
#endif

/* A 3x3 convolution, valid padding, of (height, width, channels) by (out, 3, 3, channels), like a plain kernel. */
void conv3x3(const int8_t *in, const int8_t *weights, int8_t *out, int32_t size, int32_t channels)
{
    for (int32_t y = 0; y + 2 < size; y++)
        for (int32_t x = 0; x + 2 < size; x++)
            for (int32_t o = 0; o < channels; o++) {
                int32_t sum = 0;
                for (int32_t ky = 0; ky < 3; ky++)
                    for (int32_t k = 0; k < 3 * channels; k++)
                        sum += in[((y + ky) * size + x) * channels + k] * weights[(o * 3 + ky) * 3 * channels + k];
                sum >>= 8;
                *out++ = (int8_t)(sum < -128 ? -128 : sum > 127 ? 127 : sum);
            }
}

/* An add with one multiply-high per operand, like a requantising int8 add. */
void add(const int8_t *a, const int8_t *b, int8_t *out, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        int32_t left = (int32_t)(((int64_t)(a[i] * 1048576) * 1518500250) >> 32);
        int32_t right = (int32_t)(((int64_t)(b[i] * 1048576) * 1073741824) >> 32);
        int32_t sum = (left + right) >> 18;
        out[i] = (int8_t)(sum < -128 ? -128 : sum > 127 ? 127 : sum);
    }
}

/* About as many mispredicted branches as a program can have: each depends on a bit of the data. */
int32_t zigzag(const uint8_t *bits, int32_t count)
{
    int32_t value = 1;
    for (int32_t i = 0; i < count; i++) {
        if (bits[i] & 1) {
            value = value * 3 + 1;
            __asm__ volatile("nop\n nop" : "+r"(value)); /* keeps the branch a branch */
        } else {
            value ^= value >> 3;
            __asm__ volatile("nop" : "+r"(value));
        }
    }
    return value;
}

void endless(void)
{
    for (;;)
        __asm__ volatile("nop");
}

void undefined(void) { __asm__ volatile("udf #0"); }
