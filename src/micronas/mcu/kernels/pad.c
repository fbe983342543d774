/* int8 padding: an image with a border of the zero point. */
#include "micronas_kernels.h"

#include "bytes.h"

typedef micronas_pad_params params_t;

int32_t micronas_pad_scratch_bytes(const params_t *p) {
    (void)p;
    return 0;
}

void micronas_pad(const params_t *params, const int8_t *input, int8_t *output, void *scratch) {
    const params_t *p = params;
    const int32_t line = p->in_width * p->channels, before = p->before * p->channels, after = p->after * p->channels;
    (void)scratch;
    output = mn_fill(output, p->value, p->before * (before + line + after));
    for (int32_t y = 0; y < p->in_height; y++) {
        output = mn_fill(output, p->value, before);
        output = mn_copy(output, input + y * line, line);
        output = mn_fill(output, p->value, after);
    }
    mn_fill(output, p->value, p->after * (before + line + after));
}
