/* What a firmware image does around a network's layers; timed alone as the simulated overhead. */
#include <stdint.h>

/* Copies the image into the arena and returns the index of the largest logit. */
int32_t micronas_frame(const int8_t *image, int32_t image_bytes, int8_t *arena, const int8_t *logits, int32_t classes) {
    for (int32_t i = 0; i < image_bytes; i++) arena[i] = image[i];
    int32_t best = 0;
    for (int32_t i = 1; i < classes; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}
