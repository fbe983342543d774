/* int8 addition of 2 to 4 tensors: the left fold of TFLite's binary add.
 *
 * Runs over blocks: the intermediate sums of a block stay in a small buffer on the stack, and the output is
 * written only after all operands of the block were read, so it may be any one of them.
 *
 * Fast form of a binary add. TFLite brings both operands to twice the larger scale, so the operand with the
 * larger scale has multiplier 2^30 and shift 0: it contributes exactly (x - zero) << 19.
 */
#include "micronas_kernels.h"

#include "rescale.h"

typedef micronas_add_params params_t;
typedef micronas_add_stage stage_t;

enum { LEFT_SHIFT = 20, BLOCK = 64 };

int32_t micronas_add_scratch_bytes(const params_t *p) {
    (void)p;
    return 0;
}

static void add_plainly(const stage_t *s, const int8_t *left, const int8_t *right, int8_t *output, int32_t size) {
    const mn_rescale sum = mn_prepare(s->sum_multiplier, s->sum_shift, s->output_zero_point);
    for (int32_t i = 0; i < size; i++) {
        const int32_t a = (left[i] - s->left_zero_point) * (1 << LEFT_SHIFT);
        const int32_t b = (right[i] - s->right_zero_point) * (1 << LEFT_SHIFT);
        const int32_t total = mn_multiply(a, s->left_multiplier, s->left_shift) +
                              mn_multiply(b, s->right_multiplier, s->right_shift);
        output[i] = (int8_t)mn_clamp(mn_apply(total, &sum), s->output_min, s->output_max);
    }
}

static void add_block(const stage_t *s, const int8_t *left, const int8_t *right, int8_t *output, int32_t size) {
    add_plainly(s, left, right, output, size);
}

void micronas_add(const params_t *params, const int8_t *const *inputs, int8_t *output, void *scratch) {
    const params_t *p = params;
    (void)scratch;
    for (int32_t at = 0; at < p->size; at += BLOCK) {
        const int32_t size = p->size - at < BLOCK ? p->size - at : BLOCK;
        const int32_t last = p->operands - 2;
        int8_t block[BLOCK];
        const int8_t *sum = inputs[0] + at;
        for (int32_t i = 0; i <= last; i++) {
            int8_t *to = i == last ? output + at : block;
            add_block(&p->stages[i], sum, inputs[i + 1] + at, to, size);
            sum = to;
        }
    }
}
