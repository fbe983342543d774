/* From reset to main: vector table, floating-point unit, .data and .bss. The arena and the stack are left as they are.
 *
 * Runs in the emulator and in qemu; has never run on real hardware. */
#include "firmware.h"

extern uint32_t __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[], __stack_end[];

void micronas_reset(void);

#define CPACR REGISTER(0xE000ED88u)

__attribute__((noreturn, noinline, used)) void micronas_halt(void) {
    for (;;)
        __asm__ volatile("" ::: "memory");
}

/* Every exception but reset ends here: nothing enables an interrupt, so it is a fault. */
__attribute__((noreturn)) static void micronas_fault(void) {
    for (;;)
        __asm__ volatile("" ::: "memory");
}

__attribute__((noreturn)) void micronas_reset(void) {
#if defined(__ARM_FP)
    CPACR |= 0xFu << 20; /* before any code that may use it */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    const uint32_t *from = __data_load;
    for (uint32_t *to = __data_start; to < __data_end;)
        *to++ = *from++;
    for (uint32_t *to = __bss_start; to < __bss_end;)
        *to++ = 0;
    (void)main();
    micronas_halt();
}

typedef void (*handler)(void);

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    handler reset;
    handler faults[14];
} vectors = {
    __stack_end,
    micronas_reset,
    {micronas_fault, micronas_fault, micronas_fault, micronas_fault, micronas_fault, 0, 0, 0, 0,
     micronas_fault, micronas_fault, 0, micronas_fault, micronas_fault},
};
