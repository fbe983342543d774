/* What the parts of a firmware image know of each other: start-up, board, main. */
#ifndef MICRONAS_FIRMWARE_H
#define MICRONAS_FIRMWARE_H

#include <stdint.h>

/* A register of the chip. */
#define REGISTER(address) (*(volatile uint32_t *)(address))

int main(void);

/* Where a run ends: the emulator stops here, a board waits for its reset button. */
__attribute__((noreturn)) void micronas_halt(void);

/* --- one file of boards/ defines these ------------------------------------------------------- */

extern const char micronas_board[];

/* Clocks, caches, serial port. Called once, with .data and .bss ready. */
void board_init(void);

/* Core clock in Hz, as board_init set it. */
extern const uint32_t board_clock_hz;

/* A counter of core cycles that wraps at 2^32. */
uint32_t board_cycles(void);

/* Serial port: one character out (waits), one in (waits). */
void board_put(char character);
char board_get(void);

/* --- a serial image's generated file defines these ------------------------------------------- */

/* Something to time. Before every run `input()` is filled with a fixed pattern, for a run may overwrite it;
 * the checksum of what `run()` returns is part of the answer. */
typedef struct {
    const char *name;
    int8_t *(*input)(void);
    uint32_t input_bytes;
    const int8_t *(*run)(void);
    uint32_t output_bytes;
} micronas_entry;

extern const micronas_entry micronas_entries[];
extern const uint32_t micronas_entry_count;

/* Names the image: the host refuses an image made for other operations. */
extern const char micronas_image[];

#endif
