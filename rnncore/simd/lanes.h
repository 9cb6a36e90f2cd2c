/* One SIMD vector of reals ("lanes"), and nothing else.
 *
 * This is the only file that knows the instruction set.  `vreal` holds LANES
 * reals; every operation acts on all of them at once.  GCC and Clang give us
 * + - * / and comparisons on vectors on every machine they compile for; only
 * the fused multiply-add and the blend need intrinsics.  Other compilers (and
 * RNN_PLAIN_LANES) get the same operations as loops over a small struct.
 *
 * Multiplications and additions are fused where `vfma` says so and nowhere
 * else (the build passes -ffp-contract=off), so a build computes the same bits
 * whatever the compiler inlines.  Without an FMA instruction `vfma` rounds
 * twice: builds differ from each other in last bits, never within one.
 */
#ifndef RNNCORE_LANES_H
#define RNNCORE_LANES_H

/* Bad input is found by its NaN, and every sum has one order: a compiler told that there
   is no NaN, or that it may reorder, makes a core that is wrong in silence.  Such flags are
   refused, not undone: at linking -ffast-math brings in crtfastmath.o, too, which flushes
   subnormals in the whole process from then on. */
#if defined(__FAST_MATH__) || __FINITE_MATH_ONLY__ > 0 || defined(__ASSOCIATIVE_MATH__)     \
    || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__) || defined(_M_FP_FAST)
#error "rnncore needs IEEE arithmetic with NaN: remove -ffast-math and its like (-Ofast, \
-funsafe-math-optimizations, -ffinite-math-only, -fassociative-math, -freciprocal-math, \
-fno-signed-zeros, /fp:fast) from the compiler's flags, such as CFLAGS"
#endif

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef RNN_DOUBLE
typedef double real;
typedef int64_t real_bits;          /* the integer as wide as a real */
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#else
typedef float real;
typedef int32_t real_bits;
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#endif

/* Width, and the vectors of sums a register tile of products/lanes_of_sequences.pxd may hold:
   enough to hide the latency of a multiply-add, few enough for the registers. */
#if defined(__AVX512F__) && defined(__AVX512DQ__)
#define LANE_BYTES 64
#define TILE_SUMS 16
#elif defined(__AVX2__) && defined(__FMA__)
#define LANE_BYTES 32
#define TILE_SUMS 12
#else
#define LANE_BYTES 16
#define TILE_SUMS 12
#endif
#define LANES ((int)(LANE_BYTES / sizeof(real)))

/* Adding it leaves a real's nearest integer in its low bits. */
#define ROUND_MAGIC ((real)1.5 * (real)((real_bits)1 << MANTISSA_BITS))

#if defined(__SSE2__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if (defined(__GNUC__) || defined(__clang__)) && !defined(RNN_PLAIN_LANES)
#define LANES_INLINE static inline __attribute__((always_inline, unused))

typedef real vreal __attribute__((vector_size(LANE_BYTES), may_alias));
typedef real_bits vint __attribute__((vector_size(LANE_BYTES), may_alias));
typedef real vreal_unaligned
    __attribute__((vector_size(LANE_BYTES), may_alias, aligned(sizeof(real))));

/* The core's own buffers are aligned; what a caller passes need not be. */
LANES_INLINE vreal vload(const real *p) { return *(const vreal *)p; }
LANES_INLINE void vstore(real *p, vreal a) { *(vreal *)p = a; }
LANES_INLINE vreal vload_any(const real *p) { return *(const vreal_unaligned *)p; }
LANES_INLINE void vstore_any(real *p, vreal a) { *(vreal_unaligned *)p = a; }

/* s - 0 is s for every s, and compiles to one broadcast, from memory where s
   is a loaded weight: a broadcast from a register would occupy an FMA port. */
LANES_INLINE vreal vset1(real s) { return s - (vreal){0}; }

LANES_INLINE vreal vadd(vreal a, vreal b) { return a + b; }
LANES_INLINE vreal vsub(vreal a, vreal b) { return a - b; }
LANES_INLINE vreal vmul(vreal a, vreal b) { return a * b; }
LANES_INLINE vreal vdiv(vreal a, vreal b) { return a / b; }

/* An intrinsic of x86 for a vector of this width and precision, and the type that it takes. */
#if LANE_BYTES == 64 && defined(RNN_DOUBLE)
#define X86(name) _mm512_##name##_pd
typedef __m512d x86;
#elif LANE_BYTES == 64
#define X86(name) _mm512_##name##_ps
typedef __m512 x86;
#elif LANE_BYTES == 32 && defined(RNN_DOUBLE)
#define X86(name) _mm256_##name##_pd
typedef __m256d x86;
#elif LANE_BYTES == 32
#define X86(name) _mm256_##name##_ps
typedef __m256 x86;
#elif defined(__x86_64__) && defined(RNN_DOUBLE)
#define X86(name) _mm_##name##_pd
typedef __m128d x86;
#elif defined(__x86_64__)
#define X86(name) _mm_##name##_ps
typedef __m128 x86;
#endif

/* a * b + c */
LANES_INLINE vreal vfma(vreal a, vreal b, vreal c)
{
#if LANE_BYTES >= 32
    return (vreal)X86(fmadd)((x86)a, (x86)b, (x86)c);
#elif defined(__aarch64__) && defined(__ARM_NEON) && defined(RNN_DOUBLE)
    return (vreal)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#elif defined(__aarch64__) && defined(__ARM_NEON)
    return (vreal)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return a * b + c;
#endif
}

LANES_INLINE real real_fma(real a, real b, real c)
{
    return vfma(vset1(a), vset1(b), vset1(c))[0];
}

LANES_INLINE vreal vsqrt(vreal a)
{
#ifdef X86
    return (vreal)X86(sqrt)((x86)a);
#else
    for (int l = 0; l < LANES; l++) a[l] = (real)sqrt((double)a[l]);
    return a;
#endif
}

/* a < b per lane (false where either is NaN), and "where m, a, else b". */
#if LANE_BYTES == 64 && defined(RNN_DOUBLE)
typedef __mmask8 vmask;
LANES_INLINE vmask vless(vreal a, vreal b)
{ return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ); }
LANES_INLINE vreal vselect(vmask m, vreal a, vreal b)
{ return (vreal)_mm512_mask_blend_pd(m, (__m512d)b, (__m512d)a); }
#elif LANE_BYTES == 64
typedef __mmask16 vmask;
LANES_INLINE vmask vless(vreal a, vreal b)
{ return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ); }
LANES_INLINE vreal vselect(vmask m, vreal a, vreal b)
{ return (vreal)_mm512_mask_blend_ps(m, (__m512)b, (__m512)a); }
#else
/* Integer masks: with ?: GCC would compute both sides' division twice. */
typedef vint vmask;
LANES_INLINE vmask vless(vreal a, vreal b) { return (vmask)(a < b); }
LANES_INLINE vreal vselect(vmask m, vreal a, vreal b)
{ return (vreal)((m & (vint)a) | (~m & (vint)b)); }
#endif

/* a < b ? a : b per lane: b where either is NaN. */
LANES_INLINE vreal vmin(vreal a, vreal b)
{
#ifdef X86
    return (vreal)X86(min)((x86)a, (x86)b);
#else
    return vselect(vless(a, b), a, b);
#endif
}

/* |a|, and an a that is not negative with the sign of b. */
LANES_INLINE vreal vabs(vreal a) { return (vreal)((vint)a & ~(vint)vset1((real)-0.0)); }
LANES_INLINE vreal vsigned(vreal a, vreal b)
{
    return (vreal)((vint)a | ((vint)b & (vint)vset1((real)-0.0)));
}

/* "Where x has a minus sign, a, else b": also where x is -0. */
LANES_INLINE vreal vnegative(vreal x, vreal a, vreal b)
{
#if LANE_BYTES == 64 && defined(RNN_DOUBLE)
    return vselect(_mm512_movepi64_mask((__m512i)x), a, b);
#elif LANE_BYTES == 64
    return vselect(_mm512_movepi32_mask((__m512i)x), a, b);
#elif LANE_BYTES == 32
    return (vreal)X86(blendv)((x86)b, (x86)a, (x86)x);
#else
    return vselect((vint)x < (vint){0}, a, b);
#endif
}

/* a * 2^n, n given as n + ROUND_MAGIC: the low bits of that real are n, and
   adding them to the exponent field multiplies.  The result must be normal. */
LANES_INLINE vreal vscale(vreal a, vreal n) { return (vreal)((vint)a + ((vint)n << MANTISSA_BITS)); }

/* 2^-n, given likewise. */
LANES_INLINE vreal vpow2_minus(vreal n)
{
    return (vreal)((vint)vset1(1) - ((vint)n << MANTISSA_BITS));
}

/* n / 2 rounded down, both given as above. */
LANES_INLINE vreal vhalf(vreal n)
{
    vint magic = (vint)vset1(ROUND_MAGIC);
    return (vreal)((((vint)n - magic) >> 1) + magic);
}

/* a = m * 2^k with 1 <= m < 2, for normal a > 0. */
LANES_INLINE vreal vmantissa(vreal a)
{
    vint one = (vint)vset1(1);
    return (vreal)(((vint)a & (((real_bits)1 << MANTISSA_BITS) - 1)) | one);
}
LANES_INLINE vreal vexponent(vreal a)
{
    vint k = ((vint)a >> MANTISSA_BITS) - EXPONENT_BIAS;
    return (vreal)(k + (vint)vset1(ROUND_MAGIC)) - vset1(ROUND_MAGIC);
}

#ifdef __clang__
#define SHUFFLED(a, b, ...) __builtin_shufflevector((a), (b), __VA_ARGS__)
#else
#define SHUFFLED(a, b, ...) __builtin_shuffle((a), (b), (vint){__VA_ARGS__})
#endif

/* One round of a transposition: in rows i and i + s of a square of lanes, the places
   whose number has bit s change sides.  `low` and `high` name the places that the two
   rows take, counting on from the first row's into the second's. */
#define EXCHANGE(s, low, high)                                                 \
    for (int i = 0; i < LANES; i++)                                            \
        if (!(i & (s))) {                                                      \
            vreal a = rows[i], b = rows[i + (s)];                              \
            rows[i] = SHUFFLED(a, b, low);                                     \
            rows[i + (s)] = SHUFFLED(a, b, high);                              \
        }
#define PLACES(...) __VA_ARGS__

/* rows[i][j] <-> rows[j][i] */
LANES_INLINE void vtranspose(vreal *rows)
{
#if LANE_BYTES == 64 && !defined(RNN_DOUBLE)
    EXCHANGE(1, PLACES(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
             PLACES(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31))
    EXCHANGE(2, PLACES(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
             PLACES(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31))
    EXCHANGE(4, PLACES(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
             PLACES(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31))
    EXCHANGE(8, PLACES(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
             PLACES(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31))
#elif LANE_BYTES == 64 || (LANE_BYTES == 32 && !defined(RNN_DOUBLE))
    EXCHANGE(1, PLACES(0, 8, 2, 10, 4, 12, 6, 14), PLACES(1, 9, 3, 11, 5, 13, 7, 15))
    EXCHANGE(2, PLACES(0, 1, 8, 9, 4, 5, 12, 13), PLACES(2, 3, 10, 11, 6, 7, 14, 15))
    EXCHANGE(4, PLACES(0, 1, 2, 3, 8, 9, 10, 11), PLACES(4, 5, 6, 7, 12, 13, 14, 15))
#elif LANE_BYTES == 32 || !defined(RNN_DOUBLE)
    EXCHANGE(1, PLACES(0, 4, 2, 6), PLACES(1, 5, 3, 7))
    EXCHANGE(2, PLACES(0, 1, 4, 5), PLACES(2, 3, 6, 7))
#else
    EXCHANGE(1, PLACES(0, 2), PLACES(1, 3))
#endif
}

/* Sum over the lanes, always in the same order: halves onto halves. */
#define ROTATED(a, ...) SHUFFLED(a, a, __VA_ARGS__)
LANES_INLINE real vsum(vreal a)
{
#if LANE_BYTES == 64 && !defined(RNN_DOUBLE)
    a += ROTATED(a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    a += ROTATED(a, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3);
    a += ROTATED(a, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1);
    a += ROTATED(a, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0);
#elif LANE_BYTES == 64 || (LANE_BYTES == 32 && !defined(RNN_DOUBLE))
    a += ROTATED(a, 4, 5, 6, 7, 0, 1, 2, 3);
    a += ROTATED(a, 2, 3, 0, 1, 2, 3, 0, 1);
    a += ROTATED(a, 1, 0, 1, 0, 1, 0, 1, 0);
#elif LANE_BYTES == 32 || !defined(RNN_DOUBLE)
    a += ROTATED(a, 2, 3, 0, 1);
    a += ROTATED(a, 1, 0, 1, 0);
#else
    a += ROTATED(a, 1, 0);
#endif
    return a[0];
}

#else /* ------------------------------------------------ plain loops -------- */

#ifdef _MSC_VER
#define LANES_INLINE static __forceinline
#else
#define LANES_INLINE static inline
#endif

typedef struct { real v[LANES]; } vreal;
typedef struct { int v[LANES]; } vmask;

#define EACH_LANE(type, expression)                                            \
    do {                                                                       \
        type r;                                                                \
        for (int l = 0; l < LANES; l++) r.v[l] = (expression);                 \
        return r;                                                              \
    } while (0)

LANES_INLINE real_bits bits_of(real a) { real_bits b; memcpy(&b, &a, sizeof b); return b; }
LANES_INLINE real real_of(real_bits b) { real a; memcpy(&a, &b, sizeof a); return a; }
/* A signed shift to the left that overflows is undefined in C: shift as unsigned. */
LANES_INLINE real_bits shifted(real_bits n)
{
#ifdef RNN_DOUBLE
    return (real_bits)((uint64_t)n << MANTISSA_BITS);
#else
    return (real_bits)((uint32_t)n << MANTISSA_BITS);
#endif
}
LANES_INLINE real pow2(real_bits n) { return real_of(shifted(n + EXPONENT_BIAS)); }
LANES_INLINE real_bits whole(real n) { return bits_of(n) - bits_of(ROUND_MAGIC); }

LANES_INLINE vreal vload(const real *p) { EACH_LANE(vreal, p[l]); }
LANES_INLINE void vstore(real *p, vreal a) { for (int l = 0; l < LANES; l++) p[l] = a.v[l]; }
LANES_INLINE vreal vload_any(const real *p) { return vload(p); }
LANES_INLINE void vstore_any(real *p, vreal a) { vstore(p, a); }
LANES_INLINE vreal vset1(real s) { EACH_LANE(vreal, s); }
LANES_INLINE vreal vadd(vreal a, vreal b) { EACH_LANE(vreal, a.v[l] + b.v[l]); }
LANES_INLINE vreal vsub(vreal a, vreal b) { EACH_LANE(vreal, a.v[l] - b.v[l]); }
LANES_INLINE vreal vmul(vreal a, vreal b) { EACH_LANE(vreal, a.v[l] * b.v[l]); }
LANES_INLINE vreal vdiv(vreal a, vreal b) { EACH_LANE(vreal, a.v[l] / b.v[l]); }
LANES_INLINE vreal vfma(vreal a, vreal b, vreal c) { EACH_LANE(vreal, a.v[l] * b.v[l] + c.v[l]); }
LANES_INLINE real real_fma(real a, real b, real c) { return a * b + c; }
LANES_INLINE vreal vsqrt(vreal a) { EACH_LANE(vreal, (real)sqrt((double)a.v[l])); }
LANES_INLINE vmask vless(vreal a, vreal b) { EACH_LANE(vmask, a.v[l] < b.v[l]); }
LANES_INLINE vreal vmin(vreal a, vreal b) { EACH_LANE(vreal, a.v[l] < b.v[l] ? a.v[l] : b.v[l]); }
LANES_INLINE vreal vselect(vmask m, vreal a, vreal b) { EACH_LANE(vreal, m.v[l] ? a.v[l] : b.v[l]); }
LANES_INLINE vreal vabs(vreal a)
{ EACH_LANE(vreal, real_of(bits_of(a.v[l]) & ~bits_of((real)-0.0))); }
LANES_INLINE vreal vsigned(vreal a, vreal b)
{ EACH_LANE(vreal, real_of(bits_of(a.v[l]) | (bits_of(b.v[l]) & bits_of((real)-0.0)))); }
LANES_INLINE vreal vnegative(vreal x, vreal a, vreal b)
{ EACH_LANE(vreal, bits_of(x.v[l]) < 0 ? a.v[l] : b.v[l]); }
LANES_INLINE vreal vscale(vreal a, vreal n)
{ EACH_LANE(vreal, a.v[l] * pow2(whole(n.v[l]))); }
LANES_INLINE vreal vpow2_minus(vreal n) { EACH_LANE(vreal, pow2(-whole(n.v[l]))); }
LANES_INLINE vreal vhalf(vreal n)
{ EACH_LANE(vreal, ROUND_MAGIC + (real)(whole(n.v[l]) >> 1)); }
LANES_INLINE vreal vmantissa(vreal a)
{
    real_bits field = ((real_bits)1 << MANTISSA_BITS) - 1;
    EACH_LANE(vreal, real_of((bits_of(a.v[l]) & field) | bits_of(1)));
}
LANES_INLINE vreal vexponent(vreal a)
{ EACH_LANE(vreal, (real)((bits_of(a.v[l]) >> MANTISSA_BITS) - EXPONENT_BIAS)); }

LANES_INLINE void vtranspose(vreal *rows)
{
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < i; j++) {
            real a = rows[i].v[j];
            rows[i].v[j] = rows[j].v[i];
            rows[j].v[i] = a;
        }
}

LANES_INLINE real vsum(vreal a)
{
    for (int n = LANES / 2; n > 0; n /= 2)
        for (int l = 0; l < n; l++) a.v[l] += a.v[l + n];
    return a.v[0];
}

#endif /* plain loops */

/* Subnormal numbers make every operation that meets one many times slower, and
   vanishing gradients are made of them: flush them to zero while a loop over
   time runs, then put the thread's mode back. */
LANES_INLINE unsigned long long flush_subnormals(void)
{
#if defined(__SSE2__) || defined(_M_X64)
    unsigned long long mode = _mm_getcsr();
    _mm_setcsr((unsigned)mode | 0x8040); /* flush results, and operands */
    return mode;
#elif defined(__aarch64__) && defined(__GNUC__)
    unsigned long long mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    __asm__ volatile("msr fpcr, %0" ::"r"(mode | (1ULL << 24)));
    return mode;
#else
    return 0;
#endif
}

LANES_INLINE void restore_subnormals(unsigned long long mode)
{
#if defined(__SSE2__) || defined(_M_X64)
    _mm_setcsr((unsigned)mode);
#elif defined(__aarch64__) && defined(__GNUC__)
    __asm__ volatile("msr fpcr, %0" ::"r"(mode));
#else
    (void)mode;
#endif
}

#endif /* RNNCORE_LANES_H */
