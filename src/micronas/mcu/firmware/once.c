/* main of the image that is emulated: copies one image in, runs the model, finds the class, halts. */
#include "firmware.h"
#include "model.h"

extern const int8_t micronas_test_image[];

/* The class with the highest logit, for whoever looks after the halt. */
static volatile int32_t micronas_class;

int main(void) {
    int8_t *input = model_input();
    for (int32_t i = 0; i < MODEL_INPUT_BYTES; i++)
        input[i] = micronas_test_image[i];
    const int8_t *logits = model_run();
    int32_t best = 0;
    for (int32_t i = 1; i < MODEL_OUTPUT_BYTES; i++) {
        if (logits[i] > logits[best])
            best = i;
    }
    micronas_class = best;
    return 0;
}
