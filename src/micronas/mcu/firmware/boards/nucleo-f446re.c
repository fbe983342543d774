/* NUCLEO-F446RE: 180 MHz from the ST-LINK's 8 MHz, USART2 (PA2, PA3) to the ST-LINK's serial port.
 *
 * Written from memory of ST's RM0390 and UM1724; has never run on real hardware. */
#include "dwt.h"
#include "stm32.h"

#define USART2 0x40004400u
#define USART_SR REGISTER(USART2 + 0x00u)
#define USART_DR REGISTER(USART2 + 0x04u)
#define USART_BRR REGISTER(USART2 + 0x08u)
#define USART_CR1 REGISTER(USART2 + 0x0Cu)

const char micronas_board[] = "nucleo-f446re";
const uint32_t board_clock_hz = 180000000;

static void serial_init(void) {
    RCC_AHB1ENR |= 1u;       /* GPIOA */
    RCC_APB1ENR |= 1u << 17; /* USART2 */
    (void)RCC_APB1ENR;
    GPIO_MODER(GPIOA) = (GPIO_MODER(GPIOA) & ~(15u << 4)) | 10u << 4;    /* PA2 and PA3: alternate function ... */
    GPIO_AFRL(GPIOA) = (GPIO_AFRL(GPIOA) & ~(0xFFu << 8)) | 0x77u << 8;  /* ... number 7 */
    USART_BRR = (45000000u + 57600u) / 115200u;
    USART_CR1 = 1u << 13 | 1u << 3 | 1u << 2; /* on, transmit, receive */
}

void board_init(void) {
    stm32_clock(360, 5, 7u << 8); /* 5 wait states; prefetch and both flash caches on */
    serial_init();
    dwt_init();
}

uint32_t board_cycles(void) { return DWT_CYCCNT; }

void board_put(char character) {
    while (!(USART_SR & 1u << 7)) {
    }
    USART_DR = (uint8_t)character;
}

char board_get(void) {
    while (!(USART_SR & 1u << 5)) {
    }
    return (char)(uint8_t)USART_DR; /* reading both registers also clears an overrun */
}
