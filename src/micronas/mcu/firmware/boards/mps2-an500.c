/* qemu's mps2-an500, a Cortex-M7 on an FPGA: UART0, and timer 0 as the counter, for qemu's cycle counter reads 0.
 *
 * Its ticks (25 MHz of qemu's own time) are no cycles: this board proves the path, it times nothing. */
#include "firmware.h"

#define TIMER_CTRL REGISTER(0x40000000u)
#define TIMER_VALUE REGISTER(0x40000004u)
#define TIMER_RELOAD REGISTER(0x40000008u)
#define UART_DATA REGISTER(0x40004000u)
#define UART_STATE REGISTER(0x40004004u)
#define UART_CTRL REGISTER(0x40004008u)
#define UART_BAUDDIV REGISTER(0x40004010u)

const char micronas_board[] = "mps2-an500";
const uint32_t board_clock_hz = 25000000;

void board_init(void) {
    UART_BAUDDIV = 16;
    UART_CTRL = 3;
    TIMER_RELOAD = 0xFFFFFFFFu;
    TIMER_VALUE = 0xFFFFFFFFu;
    TIMER_CTRL = 1;
}

uint32_t board_cycles(void) { return ~TIMER_VALUE; }

void board_put(char character) {
    while (UART_STATE & 1u) {
    }
    UART_DATA = (uint8_t)character;
}

char board_get(void) {
    while (!(UART_STATE & 2u)) {
    }
    return (char)(uint8_t)UART_DATA;
}
