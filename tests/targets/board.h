/* What the program of a test needs of the machine that it runs on. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* Prints 32 bits as eight hexadecimal digits on a line. */
void put_bits(uint32_t bits);

/* Ticks since the start, of 40 instructions each; 0 where none are counted. */
uint32_t ticks(void);

#endif
