/* Where there is an operating system. */
#include "board.h"

#include <stdio.h>

void put_bits(uint32_t bits)
{
    printf("%08lx\n", (unsigned long)bits);
}

uint32_t ticks(void)
{
    return 0;
}
