/* A Cortex-M4 with nothing else on it, the board "mps2-an386" of QEMU: start, output, exit. */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SYSTICK_CONTROL REGISTER(0xE000E010u)
#define SYSTICK_RELOAD REGISTER(0xE000E014u)
#define SYSTICK_VALUE REGISTER(0xE000E018u)
#define COPROCESSORS REGISTER(0xE000ED88u)

extern uint32_t stack_top;
int main(void);
void start(void);

__attribute__((section(".vectors"), used)) static void *const vectors[] = {
    &stack_top, (void *)start,
};

/* A request to the machine that QEMU runs on. */
static int semihosting(int request, const void *block)
{
    register int r0 __asm__("r0") = request;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void put_bits(uint32_t bits)
{
    static int out = -1;
    char text[9];
    int i;
    if (out < 0) {
        const uintptr_t name[3] = {(uintptr_t)":tt", 4, 3};
        out = semihosting(0x01, name);
    }
    for (i = 0; i < 8; ++i)
        text[i] = "0123456789abcdef"[(bits >> (28 - 4 * i)) & 15u];
    text[8] = '\n';
    {
        const uintptr_t block[3] = {(uintptr_t)out, (uintptr_t)text, 9};
        semihosting(0x05, block);
    }
}

uint32_t ticks(void)
{
    return 0xFFFFFFu - SYSTICK_VALUE;
}

void start(void)
{
    COPROCESSORS |= 0xFu << 20; /* the floating-point unit */
    __asm__ volatile("dsb\n isb");
    SYSTICK_RELOAD = 0xFFFFFFu;
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = 5; /* counts the processor's clock, down from the next tick on */
    while (SYSTICK_VALUE == 0) {
    }
    main();
    semihosting(0x18, (const void *)0x20026);
    for (;;) {
    }
}
