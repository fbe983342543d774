/* main of the image that is emulated: copies one image in, runs the model, finds the class, halts. */
#include "firmware.h"
#include "model.h"

extern const int8_t micronas_test_image[];

/* frame.c, which is also timed alone as the overhead of an image. */
int32_t micronas_frame(const int8_t *image, int32_t image_bytes, int8_t *arena, const int8_t *logits, int32_t classes);

/* The class with the highest logit, for whoever looks after the halt. */
static volatile int32_t micronas_class;

int main(void) {
    int8_t *input = model_input(model_arena);
    (void)micronas_frame(micronas_test_image, MODEL_INPUT_BYTES, input, input, 0);
    const int8_t *logits = model_run(model_arena, model_scratch);
    micronas_class = micronas_frame(micronas_test_image, 0, input, logits, MODEL_OUTPUT_BYTES);
    return 0;
}
