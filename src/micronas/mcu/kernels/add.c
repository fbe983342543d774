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

enum { LEFT_SHIFT = 20, BLOCK = 128 };

int32_t micronas_add_scratch_bytes(const params_t *p) {
    (void)p;
    return 0;
}

static void add_plainly(const stage_t *stage, const int8_t *left, const int8_t *right, int8_t *output,
                        int32_t size) {
    const stage_t s = *stage;
    for (int32_t i = 0; i < size; i++) {
        const int32_t a = (left[i] - s.left_zero_point) * (1 << LEFT_SHIFT);
        const int32_t b = (right[i] - s.right_zero_point) * (1 << LEFT_SHIFT);
        const int32_t total = mn_divide_by_pot(mn_high_mul(a, s.left_multiplier), -s.left_shift) +
                              mn_divide_by_pot(mn_high_mul(b, s.right_multiplier), -s.right_shift);
        const int32_t sum = mn_divide_by_pot(mn_high_mul(total, s.sum_multiplier), -s.sum_shift);
        output[i] = (int8_t)mn_clamp(mn_clamp(sum, -512, 512) + s.output_zero_point, s.output_min, s.output_max);
    }
}

#if MICRONAS_DSP

/* The constants of the fast form; d is twice what TFLite's reference calls raw_sum. */
typedef struct {
    int32_t exact_zero;  /* - zero << 20 of the operand with the larger scale */
    int32_t scaled_zero; /* - zero << 21 of the other */
    int32_t multiplier, addend, shift; /* of the other, unless it is exact too */
    int32_t is_exact;
    mn_rescale sum;
    const int8_t *exact, *scaled;
} fast_t;

MN_INLINE int32_t is_exact(int32_t multiplier, int32_t shift) { return multiplier == 1 << 30 && shift == 0; }

/* Whether the stage has a fast form. */
static int32_t prepare(const stage_t *s, const int8_t *left, const int8_t *right, fast_t *f) {
    const int32_t swap = !is_exact(s->left_multiplier, s->left_shift);
    const int32_t exact_zero = swap ? s->right_zero_point : s->left_zero_point;
    const int32_t scaled_zero = swap ? s->left_zero_point : s->right_zero_point;
    const int32_t shift = swap ? s->left_shift : s->right_shift;
    f->exact = swap ? right : left;
    f->scaled = swap ? left : right;
    f->multiplier = swap ? s->left_multiplier : s->right_multiplier;
    f->is_exact = is_exact(f->multiplier, shift);
    f->shift = -shift;
    f->exact_zero = -exact_zero * (1 << LEFT_SHIFT);
    f->scaled_zero = -scaled_zero * (1 << (LEFT_SHIFT + 1));
    f->sum = mn_prepare(s->sum_multiplier, s->sum_shift, s->output_zero_point);
    if (swap && !is_exact(s->right_multiplier, s->right_shift)) return 0;
    if (f->sum.shift == 0) return 0;
    if (f->is_exact) return 1;
    if (f->shift < 1 || f->shift > 20) return 0;
    f->addend = 1 << (f->shift - 1);
    return 1;
}

MN_INLINE int32_t add_one(const fast_t *f, int32_t exact, int32_t scaled) {
    const int32_t doubled = scaled * (1 << (LEFT_SHIFT + 1)) + f->scaled_zero;
    const int32_t term = mn_apply_doubled(doubled, f->multiplier, f->addend, f->shift);
    const int32_t sum = exact * (1 << LEFT_SHIFT) + f->exact_zero + 2 * term;
    return mn_saturate8(mn_apply_doubled(sum, f->sum.multiplier, f->sum.addend, f->sum.shift));
}

MN_INLINE void add_fast(const fast_t *f, int8_t *output, int32_t size) {
    const fast_t k = *f;
    for (int32_t i = 0; i < size; i++) output[i] = (int8_t)add_one(&k, k.exact[i], k.scaled[i]);
}

/* Operands of one scale, as a pool and its input have: both are exact, so only the sum is rescaled. */
static void add_equals(const stage_t *s, const int8_t *left, const int8_t *right, int8_t *output, int32_t size) {
    const mn_rescale sum = mn_prepare(s->sum_multiplier, s->sum_shift, s->output_zero_point);
    const int32_t zeros = -(s->left_zero_point + s->right_zero_point) * (1 << LEFT_SHIFT);
    for (int32_t i = 0; i < size; i++) {
        const int32_t doubled = (left[i] + right[i]) * (1 << LEFT_SHIFT) + zeros;
        output[i] = (int8_t)mn_saturate8(mn_apply_doubled(doubled, sum.multiplier, sum.addend, sum.shift));
    }
}

#if !defined(MICRONAS_EMULATE_DSP)

/* `add_fast` of one exact operand, four elements at a time. The assembly knows the order of the fields. */
typedef struct {
    const int8_t *exact, *scaled;
    int8_t *output;
    int32_t fours;
    int32_t scaled_zero, multiplier, addend, shift;
    int32_t exact_zero, sum_multiplier, sum_addend, sum_shift;
} fours_t;

#define FOUR(what) what(r8) what(r9) what(r10) what(r11)
#define SCALED(a) "ldrsb " #a ", [r1], #1\n\t"
#define CENTRED(a) "add " #a ", r4, " #a ", lsl #21\n\t"
#define RESCALED(a) "add lr, r6, " #a ", asr #31\n\tsmmlar " #a ", " #a ", r5, lr\n\t"
#define SHIFTED(a) "asr " #a ", " #a ", r7\n\t"
#define EXACT(x) "ldrsb " #x ", [r0], #1\n\t"
#define SUMMED(a, x)                                                                                        \
    "add " #a ", r4, " #a ", lsl #1\n\t"                                                                   \
    "add " #a ", " #a ", " #x ", lsl #20\n\t"
#define STORED(a) "ssat " #a ", #8, " #a "\n\tstrb " #a ", [r2], #1\n\t"

/* r0 exact, r1 scaled, r2 output, r3 fours left; r4 to r7 constants of the scaled operand, then of the sum;
 * r8 to r11 four values. Stack: the eight constants. */
MN_ASSEMBLY void add_by_four(const fours_t *fours __attribute__((unused))) {
    __asm__ volatile(
        "push {r4-r11, lr}\n\t"
        "sub sp, #32\n\t"
        "add r12, r0, #16\n\t"
        "ldm r12, {r4-r11}\n\t"
        "stm sp, {r4-r11}\n\t"
        "ldm r0, {r0-r3}\n"
        "1:\n\t"
        "ldm sp, {r4-r7}\n\t"
        FOUR(SCALED)
        FOUR(CENTRED)
        FOUR(RESCALED)
        "add r12, sp, #16\n\t"
        FOUR(SHIFTED)
        "ldm r12, {r4-r7}\n\t"
        EXACT(r12)
        EXACT(lr)
        SUMMED(r8, r12)
        EXACT(r12)
        SUMMED(r9, lr)
        EXACT(lr)
        SUMMED(r10, r12)
        SUMMED(r11, lr)
        FOUR(RESCALED)
        FOUR(SHIFTED)
        "subs r3, #1\n\t"
        FOUR(STORED)
        "bne 1b\n\t"
        "add sp, #32\n\t"
        "pop {r4-r11, pc}\n");
}

static void add_quickly(const fast_t *f, int8_t *output, int32_t size) {
    const int32_t done = size / 4 * 4;
    const fours_t fours = {f->exact,       f->scaled,         output,        size / 4,
                           f->scaled_zero, f->multiplier,     f->addend,     f->shift,
                           f->exact_zero,  f->sum.multiplier, f->sum.addend, f->sum.shift};
    if (done) add_by_four(&fours);
    fast_t rest = *f;
    rest.exact += done;
    rest.scaled += done;
    add_fast(&rest, output + done, size - done);
}

#else

static void add_quickly(const fast_t *f, int8_t *output, int32_t size) { add_fast(f, output, size); }

#endif

static void limit(int8_t *x, int32_t size, int32_t low, int32_t high) {
    int32_t i = 0;
    for (; i + 4 <= size; i += 4) mn_store4(x + i, mn_limit4(mn_load4(x + i), low, high));
    for (; i < size; i++) x[i] = (int8_t)mn_clamp(x[i], low, high);
}

#endif

static void add_block(const stage_t *s, const int8_t *left, const int8_t *right, int8_t *output, int32_t size) {
#if MICRONAS_DSP
    fast_t fast;
    if (prepare(s, left, right, &fast)) {
        if (fast.is_exact) add_equals(s, left, right, output, size);
        else add_quickly(&fast, output, size);
        if (s->output_min > -128 || s->output_max < 127) limit(output, size, s->output_min, s->output_max);
        return;
    }
#endif
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
