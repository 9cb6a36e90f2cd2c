/* exp, log, tanh and the logistic function on lanes, with their slopes.
 *
 * At most 2 units in the last place from the true value (the slopes: 3), NaN in
 * NaN out; tanh and the logistic function never decrease, which
 * tests/test_activations.py checks over every float32.  Polynomials come from
 * coefficients.h, fitted by tools/fit_activations.py.
 */
#ifndef RNNCORE_ACTIVATIONS_H
#define RNNCORE_ACTIVATIONS_H

#include "lanes.h"
#include "coefficients.h"

#define POLYNOMIAL(z, tail) polynomial((z), (tail), (int)(sizeof(tail) / sizeof(real)))

LANES_INLINE vreal polynomial(vreal z, const real *tail, int terms)
{
    vreal sum = vset1(tail[terms - 1]);
    for (int i = terms - 2; i >= 0; i--) sum = vfma(sum, z, vset1(tail[i]));
    return sum;
}

/* The same by pairs of terms, given z^2: as many operations, in a chain half as long. */
LANES_INLINE vreal polynomial_of_pairs(vreal z, vreal square, const real *tail, int terms)
{
    int i = terms - 2;
    vreal sum = vset1(tail[terms - 1]);
    if (i % 2 == 0) sum = vfma(sum, z, vset1(tail[i--]));
    for (; i > 0; i -= 2) sum = vfma(sum, square, vfma(vset1(tail[i]), z, vset1(tail[i - 1])));
    return sum;
}

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
   Returns t; *n gets n + ROUND_MAGIC.  What rounding r loses is carried into t, so that
   exp x does not step back where n changes. */
LANES_INLINE vreal exp_reduced(vreal x, vreal *n)
{
    *n = vfma(x, vset1((real)1.44269504088896340736), vset1(ROUND_MAGIC));
    vreal k = vsub(*n, vset1(ROUND_MAGIC));
    vreal high = vfma(k, vset1(-LN2_HIGH), x); /* no rounding */
    vreal r = vfma(k, vset1(-LN2_LOW), high);
    vreal lost = vfma(k, vset1(-LN2_LOW), vsub(high, r));
    vreal square = vmul(r, r);
    vreal p = polynomial_of_pairs(r, square, EXP_TAIL, (int)(sizeof(EXP_TAIL) / sizeof(real)));
    return vadd(r, vfma(square, p, lost));
}

/* 2^-n for n + ROUND_MAGIC */
LANES_INLINE vreal vpow2_minus(vreal n)
{
    return vscale(vset1(1), vsub(vset1(2 * ROUND_MAGIC), n));
}

/* exp x for every x; 2^n in two factors, so that subnormal results are rounded as they
   should be. */
LANES_INLINE vreal vexp(vreal x)
{
    vreal n, t = exp_reduced(vmin_nan(vmax_nan(x, EXP_LOWEST), EXP_HIGHEST), &n);
    vreal half = vhalf(n), rest = vadd(vsub(n, half), vset1(ROUND_MAGIC));
    return vmul(vscale(vadd(vset1(1), t), half), vscale(vset1(1), rest));
}

/* log(1 + e) for 0 <= e <= 1:  2 atanh s,  s = e / (2 + e). */
LANES_INLINE vreal vlog1p_unit(vreal e)
{
    vreal s = vdiv(e, vadd(e, vset1(2)));
    vreal z = vmul(s, s);
    return vfma(vmul(s, z), POLYNOMIAL(z, LOG1P_TAIL), vadd(s, s));
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
    vmask below = vless(x, vset1(0));
    *slope = vmul(q, p);
    *rest_of_1 = vselect(below, p, q);
    return vselect(below, q, p);
}

/* The same where subnormals are flushed: 2^-n needs no second factor, because a q that would be
   subnormal becomes 0, as it is from GATE_CLOSED on.  A seventh of the instructions less. */
LANES_INLINE vreal vgate_both(vreal x, vreal *slope, vreal *rest_of_1)
{
    vreal one = vset1(1), n, t = exp_reduced(vmin_nan(vabs(x), GATE_CLOSED), &n);
    vreal down = vpow2_minus(n);
    vreal q = vdiv(down, vadd(one, vadd(t, down)));
    vreal p = vsub(one, q);
    vmask below = vless(x, vset1(0));
    *slope = vmul(q, p);
    *rest_of_1 = vselect(below, p, q);
    return vselect(below, q, p);
}

LANES_INLINE vreal vgate(vreal x, vreal *slope)
{
    vreal rest_of_1;
    return vgate_both(x, slope, &rest_of_1);
}

LANES_INLINE vreal vlogistic(vreal x, vreal *slope)
{
    vreal rest_of_1;
    return vlogistic_both(x, slope, &rest_of_1);
}

/* tanh x:  x + x^3 P(x^2) for small |x|, else 1 - q with q = 2 / (1 + exp(2|x|)), formed as
   above, and the sign of x put back.
   With r = 1 - |tanh x|, which is q itself where tanh saturates,
   tanh' = 1 - tanh^2 = r (2 - r) has no cancellation. */
LANES_INLINE vreal vtanh(vreal x, vreal *slope)
{
    vreal one = vset1(1), a = vabs(x), z = vmul(a, a), n;
    vreal small = vfma(vmul(a, z), POLYNOMIAL(z, TANH_TAIL), a);
    vreal t = exp_reduced(vmin_nan(vadd(a, a), EXP_NORMAL), &n);
    vreal down = vpow2_minus(n);
    vreal q = vdiv(vadd(down, down), vadd(one, vadd(t, down)));
    vmask inner = vless(a, vset1(TANH_SPLIT));
    vreal y = vselect(inner, small, vsub(one, q));
    vreal r = vselect(inner, vsub(one, small), q);
    *slope = vmul(r, vsub(vset1(2), r));
    return vcopysign(y, x);
}

/* max(0, x); its slope at 0 is taken as 0. */
LANES_INLINE vreal vrelu(vreal x, vreal *slope)
{
    vreal zero = vset1(0), one = vset1(1);
    *slope = vselect(vless(zero, x), one, zero);
    return vmax_nan(x, 0);
}

#endif /* RNNCORE_ACTIVATIONS_H */
