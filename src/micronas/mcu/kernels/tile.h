/* A row of outputs of two channels: dot products over runs of spread operands, rescaled and stored.
 *
 * The inner loop of convolution and linear: 2 channels x 2 pixels, so that each expanded weight and each
 * operand is used twice. On DSP cores it is written in assembly, for no compiler keeps its 14 values in
 * registers; the C form says the same, runs on every other machine, and takes the rescales that have no fast
 * form.
 */
#ifndef MICRONAS_TILE_H
#define MICRONAS_TILE_H

#include "dot.h"
#include "rescale.h"

/* The assembly knows the offsets: every field is one word. */
typedef struct {
    const int8_t *w0, *w1;      /*  0 weights of the two channels, run after run */
    const int32_t *runs;        /*  8 where each run of operands begins, in values from x */
    int32_t run_count;          /* 12 */
    int32_t groups;             /* 16 groups of four in a run */
    const int16_t *x;           /* 20 the first pixel's operands */
    int32_t next;               /* 24 values from a pixel's operands to the next one's; 0: it is its own pair */
    int32_t pairs;              /* 28 pairs of pixels, at least 1 */
    int8_t *out;                /* 32 */
    int32_t out_next;           /* 36 bytes from an output pixel to the next one; 0 where next is */
    int32_t second;             /* 40 bytes from the first channel's output to the second's; 0: it is its own pair */
    int32_t is_clamped;         /* 44 whether [low, high] is less than int8 */
    int32_t start[4];           /* 48 accumulators: channel 0 (pixel 0, 1), channel 1 (pixel 0, 1) */
    int32_t multiplier0, addend0, shift0; /* 64 fast rescales, see rescale.h */
    int32_t multiplier1, addend1, shift1; /* 76 */
    int32_t low, high;          /* 88 */
    mn_rescale rescale0, rescale1;
} mn_tile;

MN_INLINE void mn_tile_rescales(mn_tile *tile, mn_rescale first, mn_rescale second) {
    tile->rescale0 = first;
    tile->rescale1 = second;
    tile->multiplier0 = first.multiplier;
    tile->addend0 = first.addend;
    tile->shift0 = first.shift;
    tile->multiplier1 = second.multiplier;
    tile->addend1 = second.addend;
    tile->shift1 = second.shift;
}

static __attribute__((noinline, unused)) void mn_run_tile_in_c(mn_tile *tile) {
    for (; tile->pairs > 0; tile->pairs--) {
        int32_t acc[4] = {tile->start[0], tile->start[1], tile->start[2], tile->start[3]};
        const int8_t *w0 = tile->w0, *w1 = tile->w1;
        for (int32_t run = 0; run < tile->run_count; run++) {
            const int16_t *x = tile->x + tile->runs[run];
            mn_dot_2x2(w0, w1, x, x + tile->next, tile->groups, acc);
            w0 += 4 * tile->groups;
            w1 += 4 * tile->groups;
        }
        for (int32_t pixel = 0; pixel < 2; pixel++) {
            int8_t *to = tile->out + pixel * tile->out_next;
            to[tile->second] = (int8_t)mn_clamp(mn_apply(acc[2 + pixel], &tile->rescale1), tile->low, tile->high);
            to[0] = (int8_t)mn_clamp(mn_apply(acc[pixel], &tile->rescale0), tile->low, tile->high);
        }
        tile->x += 2 * tile->next;
        tile->out += 2 * tile->out_next;
    }
}

#if MICRONAS_DSP && !defined(MICRONAS_EMULATE_DSP)

/* r0, r1 weights; r2, r3 operands; r4 to r7 accumulators (channel 0 pixel 0, 1; channel 1 pixel 0, 1); r12, lr
 * operands of pixel 0, 1. r8 to r11 hold the weights of both channels, lanes (a, c) and (b, d): e0, o0, e1, o1.
 * Stack: 0 tile, 4 cursor in runs, 8 runs left, 12 end of whole blocks of weights, 16 end of the run's.
 *
 * Written for dual issue: one SMLAD a cycle, beside it a load or, before it, an expansion. Weights of the next group
 * are loaded into registers as they fall free, so the four roles rotate and are back after four groups. */
#define MN_BEGIN(e0, o0, e1, o1)                                                                            \
    "ldr " #e0 ", [r0], #4\n\t"                                                                             \
    "ldr " #o1 ", [r1], #4\n\t"                                                                             \
    "sxtb16 " #o0 ", " #e0 ", ror #8\n\t"                                                                   \
    "ldr r12, [r2], #4\n\t"                                                                                \
    "sxtb16 " #e0 ", " #e0 "\n\t"                                                                           \
    "ldr lr, [r3], #4\n\t"                                                                                 \
    "sxtb16 " #e1 ", " #o1 "\n\t"

/* One group while the next is loaded, which finds its e0, o0, e1, o1 in e1, e0, o1, o0. */
#define MN_GROUP(e0, o0, e1, o1)                                                                            \
    "sxtb16 " #o1 ", " #o1 ", ror #8\n\t"                                                                   \
    "smlad r4, " #e0 ", r12, r4\n\t"                                                                       \
    "smlad r5, " #e0 ", lr, r5\n\t"                                                                        \
    "ldr " #e0 ", [r0], #4\n\t"                                                                            \
    "smlad r6, " #e1 ", r12, r6\n\t"                                                                       \
    "ldr r12, [r2], #4\n\t"                                                                               \
    "smlad r7, " #e1 ", lr, r7\n\t"                                                                        \
    "ldr lr, [r3], #4\n\t"                                                                                \
    "sxtb16 " #e1 ", " #e0 "\n\t"                                                                          \
    "smlad r4, " #o0 ", r12, r4\n\t"                                                                       \
    "sxtb16 " #e0 ", " #e0 ", ror #8\n\t"                                                                  \
    "smlad r5, " #o0 ", lr, r5\n\t"                                                                        \
    "smlad r6, " #o1 ", r12, r6\n\t"                                                                       \
    "ldr " #o0 ", [r1], #4\n\t"                                                                            \
    "ldr r12, [r2], #4\n\t"                                                                               \
    "smlad r7, " #o1 ", lr, r7\n\t"                                                                        \
    "sxtb16 " #o1 ", " #o0 "\n\t"                                                                          \
    "ldr lr, [r3], #4\n\t"

/* The last group before a jump back to `label` unless the weights end at [sp, #end]. */
#define MN_LAST_GROUP(e0, o0, e1, o1, end, label)                                                           \
    "sxtb16 " #o1 ", " #o1 ", ror #8\n\t"                                                                  \
    "smlad r4, " #e0 ", r12, r4\n\t"                                                                      \
    "smlad r5, " #e0 ", lr, r5\n\t"                                                                       \
    "ldr " #e0 ", [sp, #" #end "]\n\t"                                                                    \
    "smlad r6, " #e1 ", r12, r6\n\t"                                                                      \
    "ldr r12, [r2], #4\n\t"                                                                              \
    "smlad r7, " #e1 ", lr, r7\n\t"                                                                       \
    "ldr lr, [r3], #4\n\t"                                                                               \
    "cmp r0, " #e0 "\n\t"                                                                                 \
    "smlad r4, " #o0 ", r12, r4\n\t"                                                                      \
    "smlad r5, " #o0 ", lr, r5\n\t"                                                                       \
    "smlad r6, " #o1 ", r12, r6\n\t"                                                                      \
    "smlad r7, " #o1 ", lr, r7\n\t"                                                                       \
    "bne " #label "\n\t"

/* Doubled accumulator `a` to int8, see rescale.h: multiplier m, addend z, shift s. */
#define MN_RESCALE(a, m, z)                                                                              \
    "add r12, " #z ", " #a ", asr #31\n\t"                                                                 \
    "smmlar " #a ", " #a ", " #m ", r12\n\t"

#define MN_FINISH(a, s)                                                                                     \
    "asr " #a ", " #a ", " #s "\n\t"                                                                       \
    "ssat " #a ", #8, " #a "\n\t"

#define MN_CLAMP(a)                                                                                         \
    "cmp " #a ", r10\n\t"                                                                                   \
    "it lt\n\t"                                                                                             \
    "movlt " #a ", r10\n\t"                                                                                 \
    "cmp " #a ", r11\n\t"                                                                                   \
    "it gt\n\t"                                                                                             \
    "movgt " #a ", r11\n\t"

MN_ASSEMBLY void mn_run_fast_tile(mn_tile *tile __attribute__((unused))) {
    __asm__ volatile(
        "push {r4-r11, lr}\n\t"
        "sub sp, #20\n\t"
        "str r0, [sp]\n\t"
        "mov lr, r0\n"
        "1:\n\t" /* a pair of pixels; lr = tile */
        "ldrd r0, r1, [lr]\n\t"
        "ldrd r2, r3, [lr, #8]\n\t"
        "add r12, lr, #48\n\t"
        "ldm r12, {r4-r7}\n\t"
        "strd r2, r3, [sp, #4]\n\t"
        "cmp r3, #0\n\t"
        "beq 7f\n"
        "2:\n\t" /* a run; lr = tile */
        "ldr r12, [sp, #4]\n\t"
        "ldrd r8, r9, [lr, #16]\n\t"
        "ldr r3, [lr, #24]\n\t"
        "ldr r2, [r12], #4\n\t"
        "bic r10, r8, #3\n\t"
        "add r8, r0, r8, lsl #2\n\t"
        "add r10, r0, r10, lsl #2\n\t"
        "add r2, r9, r2, lsl #1\n\t"
        "add r3, r2, r3, lsl #1\n\t"
        "str r12, [sp, #4]\n\t"
        "strd r10, r8, [sp, #12]\n\t"
        "cmp r0, r10\n\t"
        "beq 4f\n"
        "3:\n\t" /* four groups */
        MN_BEGIN(r8, r10, r9, r11)
        MN_GROUP(r8, r10, r9, r11)
        MN_GROUP(r9, r8, r11, r10)
        MN_GROUP(r11, r9, r10, r8)
        MN_LAST_GROUP(r10, r11, r8, r9, 12, 3b)
        "4:\n\t"
        "ldr r12, [sp, #16]\n\t"
        "cmp r0, r12\n\t"
        "beq 6f\n"
        "5:\n\t" /* one group */
        MN_BEGIN(r8, r10, r9, r11)
        MN_LAST_GROUP(r8, r10, r9, r11, 16, 5b)
        "6:\n\t"
        "ldr r12, [sp, #8]\n\t"
        "ldr lr, [sp]\n\t"
        "subs r12, #1\n\t"
        "str r12, [sp, #8]\n\t"
        "bne 2b\n"
        "7:\n\t"
        "add r12, lr, #64\n\t"
        "ldm r12, {r0-r3, r8-r11}\n\t" /* multiplier0, addend0, shift0, multiplier1, addend1, shift1, low, high */
        "qadd r4, r4, r4\n\t"
        "qadd r5, r5, r5\n\t"
        "qadd r6, r6, r6\n\t"
        "qadd r7, r7, r7\n\t"
        MN_RESCALE(r4, r0, r1)
        MN_RESCALE(r5, r0, r1)
        MN_RESCALE(r6, r3, r8)
        MN_RESCALE(r7, r3, r8)
        MN_FINISH(r4, r2)
        MN_FINISH(r5, r2)
        MN_FINISH(r6, r9)
        MN_FINISH(r7, r9)
        "ldr r3, [lr, #44]\n\t"
        "ldrd r0, r1, [lr, #32]\n\t" /* out, out_next */
        "ldr r2, [lr, #40]\n\t"
        "cbz r3, 8f\n\t"
        MN_CLAMP(r4)
        MN_CLAMP(r5)
        MN_CLAMP(r6)
        MN_CLAMP(r7)
        "8:\n\t"
        "strb r6, [r0, r2]\n\t"
        "strb r4, [r0]\n\t"
        "add r0, r0, r1\n\t"
        "strb r7, [r0, r2]\n\t"
        "strb r5, [r0]\n\t"
        "add r0, r0, r1\n\t"
        "str r0, [lr, #32]\n\t"
        "ldrd r2, r3, [lr, #20]\n\t" /* x, next */
        "ldr r12, [lr, #28]\n\t"
        "add r2, r2, r3, lsl #2\n\t"
        "str r2, [lr, #20]\n\t"
        "subs r12, #1\n\t"
        "str r12, [lr, #28]\n\t"
        "bne 1b\n\t"
        "add sp, #20\n\t"
        "pop {r4-r11, pc}\n");
}

#endif

/* Every pair of pixels of a tile; changes its `x`, `out` and `pairs`. */
MN_INLINE void mn_run_tile(mn_tile *tile) {
#if MICRONAS_DSP && !defined(MICRONAS_EMULATE_DSP)
    if (tile->shift0 && tile->shift1) {
        mn_run_fast_tile(tile);
        return;
    }
#endif
    mn_run_tile_in_c(tile);
}

#endif
