/* main of the image that is emulated: one inference, its class, halt.
 *
 * The image is in the model's input when it starts, as a sensor's DMA would have put it there. */
#include "firmware.h"
#include "model.h"

/* The class with the highest logit, for whoever looks after the halt. */
static volatile int32_t micronas_class;

int main(void) {
    const int8_t *logits = model_run();
    int32_t best = 0;
    for (int32_t i = 1; i < MODEL_OUTPUT_BYTES; i++) {
        if (logits[i] > logits[best])
            best = i;
    }
    micronas_class = best;
    return 0;
}
