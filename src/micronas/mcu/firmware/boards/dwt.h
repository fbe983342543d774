/* The cycle counter of Cortex-M3 and later (Armv7-M Architecture Reference Manual, Data Watchpoint and Trace). */
#ifndef MICRONAS_DWT_H
#define MICRONAS_DWT_H

#include "firmware.h"

#define DEMCR REGISTER(0xE000EDFCu)
#define DWT_CTRL REGISTER(0xE0001000u)
#define DWT_CYCCNT REGISTER(0xE0001004u)
#define DWT_LAR REGISTER(0xE0001FB0u)

static inline void dwt_init(void) {
    DEMCR |= 1u << 24;
    DWT_LAR = 0xC5ACCE55u; /* the Cortex-M7 locks it; others ignore this */
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1u;
}

#endif
