/* Which of x86-64-v3 and x86-64-v4 this processor and this operating system run.
 *
 * The CPU flag alone is not enough: the operating system must also save the wide
 * registers when it switches threads, which it declares in XCR0.
 */
#ifndef RNNCORE_CPU_FEATURES_H
#define RNNCORE_CPU_FEATURES_H

#if defined(__x86_64__) || defined(_M_X64)

#ifdef _MSC_VER
#include <intrin.h>
static void cpuid(unsigned leaf, unsigned subleaf, unsigned r[4])
{
    __cpuidex((int *)r, (int)leaf, (int)subleaf);
}
static unsigned long long enabled_registers(void) { return _xgetbv(0); }
#else
#include <cpuid.h>
static void cpuid(unsigned leaf, unsigned subleaf, unsigned r[4])
{
    __cpuid_count(leaf, subleaf, r[0], r[1], r[2], r[3]);
}
static unsigned long long enabled_registers(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((unsigned long long)high << 32) | low;
}
#endif

enum { EAX, EBX, ECX, EDX };
#define ALL(word, bits) (((word) & (bits)) == (bits))
#define BIT(n) (1u << (n))

/* 4: x86-64-v4 runs, 3: x86-64-v3 runs, 1: neither. */
static int x86_64_level(void)
{
    unsigned r[4];
    unsigned long long registers;

    cpuid(0, 0, r);
    if (r[EAX] < 7) return 1;
    cpuid(0x80000000u, 0, r);
    if (r[EAX] < 0x80000001u) return 1;

    cpuid(1, 0, r);
    /* FMA, MOVBE, OSXSAVE, AVX, F16C; and what v2 has: SSE3, SSSE3, SSE4.1, SSE4.2, POPCNT */
    if (!ALL(r[ECX], BIT(12) | BIT(22) | BIT(27) | BIT(28) | BIT(29))) return 1;
    if (!ALL(r[ECX], BIT(0) | BIT(9) | BIT(19) | BIT(20) | BIT(23))) return 1;
    registers = enabled_registers();
    if (!ALL(registers, 0x6u)) return 1; /* XMM, YMM */

    cpuid(0x80000001u, 0, r);
    if (!ALL(r[ECX], BIT(5))) return 1; /* LZCNT */

    cpuid(7, 0, r);
    if (!ALL(r[EBX], BIT(3) | BIT(5) | BIT(8))) return 1; /* BMI1, AVX2, BMI2 */
    /* AVX-512 F, DQ, CD, BW, VL; and their mask, upper-half and upper-16 registers */
    if (!ALL(r[EBX], BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31))) return 3;
    return ALL(registers, 0xe6u) ? 4 : 3;
}

#else
static int x86_64_level(void) { return 0; } /* not an x86-64 machine */
#endif

#endif /* RNNCORE_CPU_FEATURES_H */
