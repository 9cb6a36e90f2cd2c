/* exp, log, tanh and the logistic function on lanes, with their slopes.
 *
 * At most 2 units in the last place from the true value (the slopes: 3), NaN in
 * NaN out; tanh and the logistic function never decrease, which
 * tests/test_activations.py checks over every float32.  Polynomials come from
 * coefficients.h, fitted by tools/fit_activations.py.
 *
 * Functions whose names end in s work on `many` vectors, a literal, operation by operation:
 * each of some forty operations waits for the one before, and a core looks only so far ahead
 * for others.  What they return does not depend on how many there are.
 */
#ifndef RNNCORE_ACTIVATIONS_H
#define RNNCORE_ACTIVATIONS_H

#include "lanes.h"
#include "coefficients.h"

#define MANY 4 /* at most */
#define EACH for (int i = 0; i < many; i++)

/* tail[0] + tail[1] z + ..; terms: a literal. */
LANES_INLINE void polynomials(int many, const vreal *z, const real *tail, int terms, vreal *sum)
{
    EACH sum[i] = vset1(tail[terms - 1]);
    for (int j = terms - 2; j >= 0; j--) EACH sum[i] = vfma(sum[i], z[i], vset1(tail[j]));
}
#define POLYNOMIALS(z, tail, sum) polynomials(many, z, tail, (int)(sizeof(tail) / sizeof(real)), sum)

/* ln 2 in two parts; the first has so few digits that n times it is exact. */
#ifdef RNN_DOUBLE
#define LN2_HIGH ((real)6.93147180369123816490e-01)
#define LN2_LOW ((real)1.90821492927058770002e-10)
#define EXP_LOWEST ((real)-746) /* exp of it is less than half the least subnormal */
#define EXP_NORMAL ((real)708) /* 1 / exp of it is still a normal number */
#define EXP_HIGHEST ((real)710)
#define GATE_CLOSED ((real)708.6) /* exp of minus it is subnormal, n is still 1022 */
#else
#define LN2_HIGH ((real)0.693359375)
#define LN2_LOW ((real)-2.12194440e-4)
#define EXP_LOWEST ((real)-104)
#define EXP_NORMAL ((real)87)
#define EXP_HIGHEST ((real)89)
#define GATE_CLOSED ((real)87.6) /* the same, n is 126 */
#endif

LANES_INLINE vreal vmax_nan(vreal a, real low) /* max(a, low), NaN where a is NaN */
{
    return vselect(vless(a, vset1(low)), vset1(low), a);
}

LANES_INLINE vreal vmin_nan(vreal a, real high)
{
    return vmin(vset1(high), a);
}

/* x = n ln 2 + r with |r| <= ln(2)/2:  exp x = 2^n (1 + t),  t = exp r - 1 = r + r^2 P(r).
   n gets n + ROUND_MAGIC.  What rounding r loses is carried into t, so that exp x does not step
   back where n changes.  P is summed by pairs of terms: as many operations as in turn, in a chain
   half as long.
   With `twice`, a literal, it is exp 2x = 2^n (1 + 2t): r and t are half of the above, to the same
   bits, since their coefficients differ by powers of 2. */
LANES_INLINE void exps_reduced(int many, int twice, const vreal *x, vreal *n, vreal *t)
{
    enum { TERMS = sizeof(EXP_TAIL) / sizeof(real) };
    const real by = twice ? 2 : 1;
    vreal k[MANY], high[MANY], r[MANY], lost[MANY], square[MANY], p[MANY];
    real tail[TERMS];
    int j = TERMS - 2;
    for (int l = 0; l < TERMS; l++) tail[l] = EXP_TAIL[l] * (twice ? (real)(2 << l) : 1);
    EACH n[i] = vfma(x[i], vset1(by * (real)1.44269504088896340736), vset1(ROUND_MAGIC));
    EACH k[i] = vsub(n[i], vset1(ROUND_MAGIC));
    EACH high[i] = vfma(k[i], vset1(-LN2_HIGH / by), x[i]); /* no rounding */
    EACH r[i] = vfma(k[i], vset1(-LN2_LOW / by), high[i]);
    EACH lost[i] = vfma(k[i], vset1(-LN2_LOW / by), vsub(high[i], r[i]));
    EACH square[i] = vmul(r[i], r[i]);
    EACH p[i] = vset1(tail[TERMS - 1]);
    if (j % 2 == 0) {
        EACH p[i] = vfma(p[i], r[i], vset1(tail[j]));
        j--;
    }
    for (; j > 0; j -= 2)
        EACH p[i] = vfma(p[i], square[i], vfma(vset1(tail[j]), r[i], vset1(tail[j - 1])));
    EACH t[i] = vadd(r[i], vfma(square[i], p[i], lost[i]));
}

LANES_INLINE vreal exp_reduced(vreal x, vreal *n)
{
    vreal t;
    exps_reduced(1, 0, &x, n, &t);
    return t;
}

/* exp x for every x; 2^n in two factors, so that subnormal results are rounded as they
   should be. */
LANES_INLINE vreal vexp(vreal x)
{
    vreal n, t = exp_reduced(vmin_nan(vmax_nan(x, EXP_LOWEST), EXP_HIGHEST), &n);
    vreal half = vhalf(n), rest = vadd(vsub(n, half), vset1(ROUND_MAGIC));
    return vmul(vscale(vadd(vset1(1), t), half), vscale(vset1(1), rest));
}

/* 2 atanh s = log((1 + s) / (1 - s)) for 0 <= s <= 1/3. */
LANES_INLINE void twice_atanhs(int many, const vreal *s, vreal *y)
{
    vreal z[MANY], p[MANY];
    EACH z[i] = vmul(s[i], s[i]);
    POLYNOMIALS(z, LOG1P_TAIL, p);
    EACH y[i] = vfma(vmul(s[i], z[i]), p[i], vadd(s[i], s[i]));
}

/* log(1 + e) for 0 <= e <= 1:  2 atanh s,  s = e / (2 + e). */
LANES_INLINE vreal vlog1p_unit(vreal e)
{
    vreal s = vdiv(e, vadd(e, vset1(2))), y;
    twice_atanhs(1, &s, &y);
    return y;
}

/* log a for normal a > 0:  a = 2^k m,  log a = k ln 2 + log(1 + (m - 1)); a * 0 keeps NaN. */
LANES_INLINE vreal vlog(vreal a)
{
    vreal k = vexponent(a), l = vlog1p_unit(vsub(vmantissa(a), vset1(1)));
    vreal log = vfma(k, vset1(LN2_HIGH), vfma(k, vset1(LN2_LOW), l));
    return vfma(a, vset1(0), log);
}

/* log(1 + ratio) where ratio < 1, else log(sum) - offset, for a normal sum > 0: the same as by the
   functions above, with one of them. */
LANES_INLINE vreal vlog_ratio(vreal sum, vreal ratio, vreal offset)
{
    vmask small = vless(ratio, vset1(1));
    vreal l = vlog1p_unit(vselect(small, ratio, vsub(vmantissa(sum), vset1(1))));
    vreal k = vexponent(sum);
    vreal log = vfma(k, vset1(LN2_HIGH), vfma(k, vset1(LN2_LOW), l));
    return vselect(small, l, vsub(vfma(sum, vset1(0), log), offset));
}

/* s(x) = 1 / (1 + exp(-x)).
   q = 1 / (1 + exp|x|) is the smaller of s(x) and 1 - s(x), good to its own last place, so
   s' = q (1 - q) loses nothing in saturation.  With exp|x| = 2^n (1 + t) it is
   2^-n / (1 + (t + 2^-n)): every step is monotone, so s is.  Half of 2^-n goes into the
   divisor, so that a subnormal q is rounded only once.
   *rest_of_1 = 1 - s(x), also where s(x) rounds to 1. */
LANES_INLINE vreal vlogistic_both(vreal x, vreal *slope, vreal *rest_of_1)
{
    vreal one = vset1(1), n, t = exp_reduced(vmin_nan(vabs(x), -EXP_LOWEST), &n);
    vreal half = vhalf(n), rest = vadd(vsub(n, half), vset1(ROUND_MAGIC));
    vreal down = vpow2_minus(half);
    vreal d = vadd(one, vadd(t, vmul(down, vpow2_minus(rest))));
    vreal q = vdiv(down, vscale(d, rest));
    vreal p = vsub(one, q);
    *slope = vmul(q, p);
    *rest_of_1 = vnegative(x, p, q);
    return vnegative(x, q, p);
}

LANES_INLINE vreal vlogistic(vreal x, vreal *slope)
{
    vreal rest_of_1;
    return vlogistic_both(x, slope, &rest_of_1);
}

/* The same where subnormals are flushed: 2^-n needs no second factor, because a q that would be
   subnormal becomes 0, as it is from GATE_CLOSED on.  A quarter of the instructions less. */
LANES_INLINE void gates_reduced(int many, const vreal *x, vreal *t, vreal *down, vreal *q)
{
    vreal a[MANY], n[MANY];
    EACH a[i] = vmin_nan(vabs(x[i]), GATE_CLOSED);
    exps_reduced(many, 0, a, n, t);
    EACH down[i] = vpow2_minus(n[i]);
    EACH q[i] = vdiv(down[i], vadd(vset1(1), vadd(t[i], down[i])));
}

LANES_INLINE void vgates_both(int many, const vreal *x, vreal *s, vreal *slope, vreal *rest_of_1)
{
    vreal t[MANY], down[MANY], q[MANY], p[MANY];
    gates_reduced(many, x, t, down, q);
    EACH p[i] = vsub(vset1(1), q[i]);
    EACH slope[i] = vmul(q[i], p[i]);
    EACH s[i] = vnegative(x[i], q[i], p[i]);
    EACH rest_of_1[i] = vnegative(x[i], p[i], q[i]);
}

LANES_INLINE void vgates(int many, const vreal *x, vreal *s, vreal *slope)
{
    vreal rest_of_1[MANY];
    vgates_both(many, x, s, slope, rest_of_1);
}

/* log(1 + exp(-|x|)), s(x) and 1 - s(x), where subnormals are flushed: with e = exp(-|x|) =
   2^-n / (1 + t) the first is 2 atanh(e / (2 + e)), and e / (2 + e) = 2^-n / (2 (1 + t) + 2^-n). */
LANES_INLINE void vlog_gates(int many, const vreal *x, vreal *log, vreal *s, vreal *rest_of_1)
{
    vreal t[MANY], down[MANY], q[MANY], p[MANY];
    gates_reduced(many, x, t, down, q);
    EACH p[i] = vsub(vset1(1), q[i]);
    EACH s[i] = vnegative(x[i], q[i], p[i]);
    EACH rest_of_1[i] = vnegative(x[i], p[i], q[i]);
    EACH q[i] = vdiv(down[i], vfma(vset1(2), t[i], vadd(vset1(2), down[i])));
    twice_atanhs(many, q, log);
}

/* tanh x:  x + x^3 P(x^2) for small |x|, else 1 - q with q = 2 / (1 + exp(2|x|)), formed as
   above, and the sign of x put back.
   With r = 1 - |tanh x|, which is q itself where tanh saturates,
   tanh' = 1 - tanh^2 = r (2 - r) has no cancellation. */
LANES_INLINE void vtanhs(int many, const vreal *x, vreal *y, vreal *slope)
{
    vreal one = vset1(1), half = vset1((real)0.5);
    vreal a[MANY], z[MANY], small[MANY], n[MANY], t[MANY], down[MANY], q[MANY], r[MANY];
    vmask inner[MANY];
    EACH a[i] = vabs(x[i]);
    EACH r[i] = vmin_nan(a[i], EXP_NORMAL / 2);
    exps_reduced(many, 1, r, n, t);
    EACH down[i] = vpow2_minus(n[i]);
    /* 2 2^-n / (1 + (2t + 2^-n)), both halved */
    EACH t[i] = vfma(down[i], half, t[i]);
    EACH q[i] = vdiv(down[i], vadd(half, t[i]));
    EACH z[i] = vmul(a[i], a[i]);
    POLYNOMIALS(z, TANH_TAIL, small);
    EACH small[i] = vfma(vmul(a[i], z[i]), small[i], a[i]);
    EACH inner[i] = vless(a[i], vset1(TANH_SPLIT));
    EACH y[i] = vselect(inner[i], small[i], vsub(one, q[i]));
    EACH r[i] = vselect(inner[i], vsub(one, small[i]), q[i]);
    EACH slope[i] = vmul(r[i], vsub(vset1(2), r[i]));
    EACH y[i] = vsigned(y[i], x[i]);
}

/* max(0, x); its slope at 0 is taken as 0. */
LANES_INLINE vreal vrelu(vreal x, vreal *slope)
{
    vreal zero = vset1(0), one = vset1(1);
    *slope = vselect(vless(zero, x), one, zero);
    return vmax_nan(x, 0);
}

#endif /* RNNCORE_ACTIVATIONS_H */
