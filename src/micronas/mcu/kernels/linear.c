/* int8 fully-connected layer: the operand is spread out once, then two outputs at a time. */
#include "micronas_kernels.h"

#include "dot.h"
#include "rescale.h"

typedef micronas_linear_params params_t;

int32_t micronas_linear_scratch_bytes(const params_t *p) { return 2 * 4 * mn_groups(p->inputs); }

void micronas_linear(const params_t *params, const int8_t *input, int8_t *output, void *scratch) {
    const params_t *p = params;
    int16_t *x = (int16_t *)scratch;
    const mn_rescale rescale = mn_prepare(p->multiplier[0], p->shift[0], p->output_zero_point);
    const int32_t whole = p->inputs / 4, tail = p->inputs % 4;
    mn_spread(x, input, p->inputs, p->input_zero_point, 0);
    for (int32_t out = 0; out < p->outputs; out += 2) {
        const int32_t next = out + 1 < p->outputs ? out + 1 : out;
        const int8_t *w0 = p->weights + out * p->inputs, *w1 = p->weights + next * p->inputs;
        int32_t acc[2] = {p->bias[out], p->bias[next]};
        mn_dot_2x1(w0, w1, x, whole, acc);
        if (tail) {
            acc[0] = mn_dot_tail(w0 + 4 * whole, x + 4 * whole, tail, acc[0]);
            acc[1] = mn_dot_tail(w1 + 4 * whole, x + 4 * whole, tail, acc[1]);
        }
        output[out] = (int8_t)mn_clamp(mn_apply(acc[0], &rescale), p->output_min, p->output_max);
        output[next] = (int8_t)mn_clamp(mn_apply(acc[1], &rescale), p->output_min, p->output_max);
    }
}
