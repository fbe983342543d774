/* NUCLEO-F746ZG: 216 MHz from the ST-LINK's 8 MHz, both caches on, USART3 (PD8, PD9) to the ST-LINK's serial port.
 *
 * Written from memory of ST's RM0385 and UM1974; has never run on real hardware. */
#include "dwt.h"
#include "stm32.h"

#define USART3 0x40004800u
#define USART_CR1 REGISTER(USART3 + 0x00u)
#define USART_BRR REGISTER(USART3 + 0x0Cu)
#define USART_ISR REGISTER(USART3 + 0x1Cu)
#define USART_ICR REGISTER(USART3 + 0x20u)
#define USART_RDR REGISTER(USART3 + 0x24u)
#define USART_TDR REGISTER(USART3 + 0x28u)

#define ICIALLU REGISTER(0xE000EF50u)
#define DCISW REGISTER(0xE000EF60u)
#define CCSIDR REGISTER(0xE000ED80u)
#define CSSELR REGISTER(0xE000ED84u)
#define CCR REGISTER(0xE000ED14u)

const char micronas_board[] = "nucleo-f746zg";
const uint32_t board_clock_hz = 216000000;

static void caches_on(void) {
    ICIALLU = 0;
    CSSELR = 0;
    __asm__ volatile("dsb" ::: "memory");
    const uint32_t sets = (CCSIDR >> 13 & 0x7FFFu) + 1, ways = (CCSIDR >> 3 & 0x3FFu) + 1;
    for (uint32_t set = 0; set < sets; set++) {
        for (uint32_t way = 0; way < ways; way++)
            DCISW = way << 30 | set << 5; /* four ways, lines of 32 bytes */
    }
    __asm__ volatile("dsb" ::: "memory");
    CCR |= 3u << 16;
    __asm__ volatile("dsb\n\tisb" ::: "memory");
}

static void serial_init(void) {
    RCC_AHB1ENR |= 1u << 3;  /* GPIOD */
    RCC_APB1ENR |= 1u << 18; /* USART3 */
    (void)RCC_APB1ENR;
    GPIO_MODER(GPIOD) = (GPIO_MODER(GPIOD) & ~(15u << 16)) | 10u << 16; /* PD8 and PD9: alternate function ... */
    GPIO_AFRH(GPIOD) = (GPIO_AFRH(GPIOD) & ~0xFFu) | 0x77u;             /* ... number 7 */
    USART_BRR = (54000000u + 57600u) / 115200u;
    USART_CR1 = 1u << 3 | 1u << 2 | 1u; /* transmit, receive, on */
}

void board_init(void) {
    stm32_clock(432, 7, 3u << 8); /* 7 wait states; prefetch and accelerator on */
    caches_on();
    serial_init();
    dwt_init();
}

uint32_t board_cycles(void) { return DWT_CYCCNT; }

void board_put(char character) {
    while (!(USART_ISR & 1u << 7)) {
    }
    USART_TDR = (uint8_t)character;
}

char board_get(void) {
    while (!(USART_ISR & 1u << 5))
        USART_ICR = 1u << 3; /* an overrun would stop reception */
    return (char)(uint8_t)USART_RDR;
}
