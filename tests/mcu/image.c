/* A whole image: vector table, start-up code that fills .data and .bss, semihosting output, a halt. */
#include <stdint.h>
#include <string.h>

extern uint32_t __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[], __stack_end[];

static int32_t semihosting(int32_t request, const void *argument)
{
    register int32_t r0 __asm__("r0") = request;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

int32_t initialised = 41;
int32_t zeroed;

__attribute__((noinline)) int32_t on_the_stack(int32_t count)
{
    volatile int32_t room[200];
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++)
        room[i] = i;
    for (int32_t i = 0; i < count; i++)
        sum += room[i];
    return sum;
}

__attribute__((noinline)) void finished(void) { __asm__ volatile("nop"); }

__attribute__((noreturn)) void reset(void)
{
    memcpy(__data_start, __data_load, (size_t)((char *)__data_end - (char *)__data_start));
    memset(__bss_start, 0, (size_t)((char *)__bss_end - (char *)__bss_start));
    zeroed += on_the_stack(200);
    initialised++;
    finished();
    semihosting(4, initialised == 42 && zeroed == 19900 ? "all well\n" : "wrong\n");
    semihosting(0x18, (const void *)0x20026);
    for (;;)
        ;
}

__attribute__((section(".vectors"), used)) static const void *const vectors[2] = {__stack_end, (const void *)reset};
