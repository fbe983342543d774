/* Registers that the STM32F4 and STM32F7 share (ST RM0390 and RM0385, written from memory).
 *
 * Has never run on real hardware. */
#ifndef MICRONAS_STM32_H
#define MICRONAS_STM32_H

#include "firmware.h"

#define RCC_CR REGISTER(0x40023800u)
#define RCC_PLLCFGR REGISTER(0x40023804u)
#define RCC_CFGR REGISTER(0x40023808u)
#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_APB1ENR REGISTER(0x40023840u)
#define PWR_CR REGISTER(0x40007000u)
#define PWR_CSR REGISTER(0x40007004u)
#define FLASH_ACR REGISTER(0x40023C00u)
#define GPIOA 0x40020000u
#define GPIOD 0x40020C00u
#define GPIO_MODER(port) REGISTER((port) + 0x00u)
#define GPIO_AFRL(port) REGISTER((port) + 0x20u)
#define GPIO_AFRH(port) REGISTER((port) + 0x24u)

enum {
    RCC_CR_HSEON = 1 << 16,
    RCC_CR_HSERDY = 1 << 17,
    RCC_CR_HSEBYP = 1 << 18,
    RCC_CR_PLLON = 1 << 24,
    RCC_CR_PLLRDY = 1 << 25,
    RCC_APB1ENR_PWREN = 1 << 28,
    PWR_CR_ODEN = 1 << 16,
    PWR_CR_ODSWEN = 1 << 17,
    PWR_CSR_ODRDY = 1 << 16,
    PWR_CSR_ODSWRDY = 1 << 17,
    FLASH_ACR_LATENCY = 15,
};

/* The 8 MHz that the ST-LINK gives (HSE bypass), divided to 1 MHz, times `multiply`, halved: the core clock.
 * The slow bus runs at a quarter of it, the fast one at half. Over-drive is on, as both chips need at their highest. */
static inline void stm32_clock(uint32_t multiply, uint32_t flash_wait_states, uint32_t flash_options) {
    RCC_APB1ENR |= RCC_APB1ENR_PWREN;
    (void)RCC_APB1ENR;
    PWR_CR |= 3u << 14; /* voltage scale 1 */
    RCC_CR |= RCC_CR_HSEBYP;
    RCC_CR |= RCC_CR_HSEON;
    while (!(RCC_CR & RCC_CR_HSERDY)) {
    }
    RCC_PLLCFGR = 8u | multiply << 6 | 0u << 16 /* P: halve */ | 1u << 22 /* from HSE */ | 9u << 24 | 2u << 28;
    RCC_CR |= RCC_CR_PLLON;
    PWR_CR |= PWR_CR_ODEN;
    while (!(PWR_CSR & PWR_CSR_ODRDY)) {
    }
    PWR_CR |= PWR_CR_ODSWEN;
    while (!(PWR_CSR & PWR_CSR_ODSWRDY)) {
    }
    FLASH_ACR = flash_options | flash_wait_states;
    while ((FLASH_ACR & FLASH_ACR_LATENCY) != flash_wait_states) {
    }
    while (!(RCC_CR & RCC_CR_PLLRDY)) {
    }
    RCC_CFGR = 5u << 10 | 4u << 13 | 2u; /* APB1 / 4, APB2 / 2, run from the PLL */
    while ((RCC_CFGR >> 2 & 3u) != 2u) {
    }
}

#endif
