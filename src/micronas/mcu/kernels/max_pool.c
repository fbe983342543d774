/* int8 max pool; padding is not looked at. */
#include "micronas_kernels.h"

#include "rescale.h"
#include "window.h"

typedef micronas_pool_params params_t;

int32_t micronas_max_pool_scratch_bytes(const params_t *p) {
    (void)p;
    return 0;
}

MN_INLINE void pool_pixel(const params_t *p, const int8_t *first, mn_span rows, mn_span columns, int8_t *output) {
    const int32_t channels = p->channels, line = p->in_width * channels;
    int32_t channel = 0;
#if MICRONAS_DSP
    for (; channel + 4 <= channels; channel += 4) {
        uint32_t highest = mn_all4(p->output_min);
        const int8_t *row = first + channel;
        for (int32_t i = rows.count; i > 0; i--, row += line) {
            const int8_t *x = row;
            for (int32_t j = columns.count; j > 0; j--, x += channels) highest = mn_max4(highest, mn_load4(x));
        }
        mn_store4(output + channel, mn_min4(highest, mn_all4(p->output_max)));
    }
#endif
    for (; channel < channels; channel++) {
        int32_t highest = p->output_min;
        const int8_t *row = first + channel;
        for (int32_t i = rows.count; i > 0; i--, row += line) {
            const int8_t *x = row;
            for (int32_t j = columns.count; j > 0; j--, x += channels) highest = *x > highest ? *x : highest;
        }
        output[channel] = (int8_t)(highest > p->output_max ? p->output_max : highest);
    }
}

void micronas_max_pool(const params_t *params, const int8_t *input, int8_t *output, void *scratch) {
    const params_t *p = params;
    (void)scratch;
    for (int32_t y = 0; y < p->out_height; y++) {
        const mn_span rows = mn_inside(y, p->stride, p->pad, p->kernel, p->in_height);
        for (int32_t x = 0; x < p->out_width; x++) {
            const mn_span columns = mn_inside(x, p->stride, p->pad, p->kernel, p->in_width);
            const int8_t *first = input + (rows.first * p->in_width + columns.first) * p->channels;
            pool_pixel(p, first, rows, columns, output);
            output += p->channels;
        }
    }
}
