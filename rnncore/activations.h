/* exp, log, tanh and the logistic function on lanes, with their slopes.
 *
 * At most 2 units in the last place from the true value, monotone, NaN in NaN
 * out; tests/test_activations.py checks that over every float32.  Polynomials
 * come from coefficients.h, fitted by tools/fit_activations.py.
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

/* ln 2 in two parts; the first has so few digits that n times it is exact. */
#ifdef RNN_DOUBLE
#define LN2_HIGH ((real)6.93147180369123816490e-01)
#define LN2_LOW ((real)1.90821492927058770002e-10)
#define EXP_LOWEST ((real)-746) /* exp of it is less than half the least subnormal */
#define EXP_NORMAL ((real)-708) /* exp of it is still a normal number */
#define EXP_HIGHEST ((real)710)
#else
#define LN2_HIGH ((real)0.693359375)
#define LN2_LOW ((real)-2.12194440e-4)
#define EXP_LOWEST ((real)-104)
#define EXP_NORMAL ((real)-87)
#define EXP_HIGHEST ((real)89)
#endif

LANES_INLINE vreal vmax_nan(vreal a, real low) /* max(a, low), NaN where a is NaN */
{
    return vselect(vless(a, vset1(low)), vset1(low), a);
}

LANES_INLINE vreal vmin_nan(vreal a, real high)
{
    return vselect(vless(vset1(high), a), vset1(high), a);
}

/* x = n ln 2 + r with |r| <= ln(2)/2:  exp x = 2^n exp r, exp r = 1 + r + r^2 P(r).
   Returns exp r within 1 ulp; *n gets n + ROUND_MAGIC. */
LANES_INLINE vreal exp_reduced(vreal x, vreal *n)
{
    *n = vfma(x, vset1((real)1.44269504088896340736), vset1(ROUND_MAGIC));
    vreal k = vsub(*n, vset1(ROUND_MAGIC));
    vreal r = vfma(k, vset1(-LN2_LOW), vfma(k, vset1(-LN2_HIGH), x));
    return vadd(vfma(vmul(r, r), POLYNOMIAL(r, EXP_TAIL), r), vset1(1));
}

/* The same as an unevaluated sum, return + *low, good to a quarter ulp: what
   rounding r and adding the 1 lose is carried along. */
LANES_INLINE vreal exp_reduced_sum(vreal x, vreal *n, vreal *low)
{
    *n = vfma(x, vset1((real)1.44269504088896340736), vset1(ROUND_MAGIC));
    vreal k = vsub(*n, vset1(ROUND_MAGIC));
    vreal high = vfma(k, vset1(-LN2_HIGH), x); /* no rounding */
    vreal r = vfma(k, vset1(-LN2_LOW), high);
    vreal lost = vfma(k, vset1(-LN2_LOW), vsub(high, r));
    vreal tail = vadd(r, vfma(vmul(r, r), POLYNOMIAL(r, EXP_TAIL), lost));
    vreal sum = vadd(vset1(1), tail);
    *low = vsub(tail, vsub(sum, vset1(1)));
    return sum;
}

/* exp x for every x, subnormal results rounded as they should be. */
LANES_INLINE vreal vexp(vreal x)
{
    vreal n, m = exp_reduced(vmin_nan(vmax_nan(x, EXP_LOWEST), EXP_HIGHEST), &n);
    return vscale_gradual(m, n);
}

/* log(1 + e) for 0 <= e <= 1:  2 atanh s,  s = e / (2 + e). */
LANES_INLINE vreal vlog1p_unit(vreal e)
{
    vreal s = vdiv(e, vadd(e, vset1(2)));
    vreal z = vmul(s, s);
    return vfma(vmul(s, z), POLYNOMIAL(z, LOG1P_TAIL), vadd(s, s));
}

/* log a for normal a > 0:  a = 2^k m,  log a = k ln 2 + log(1 + (m - 1)). */
LANES_INLINE vreal vlog(vreal a)
{
    vreal k = vexponent(a), l = vlog1p_unit(vsub(vmantissa(a), vset1(1)));
    return vfma(k, vset1(LN2_HIGH), vfma(k, vset1(LN2_LOW), l));
}

/* s(x) = 1 / (1 + exp(-x)).
   q = e / (1 + e) with e = exp(-|x|) is the smaller of s(x) and 1 - s(x), good to
   its own last place, so s' = q (1 - q) loses nothing in saturation.  Rounding
   e = 2^n m and d = 1 + e costs q up to an ulp each; what they lost is known
   (low, d_low), and 1/m ~ 2 - m, 1/d ~ 1 - e/2 are close enough to give it back.
   Not where e > 1/2: there it is not needed, and x moves q by so little that an
   approximate correction would cost monotonicity. */
LANES_INLINE vreal vlogistic(vreal x, vreal *slope)
{
    vreal one = vset1(1), zero = vset1(0), n, low;
    vreal m = exp_reduced_sum(vmax_nan(vsub(zero, vabs(x)), EXP_LOWEST), &n, &low);
    vreal e = vscale_gradual(m, n);
    vreal d = vadd(one, e), d_low = vsub(e, vsub(d, one));
    vreal lost = vmul(low, vsub(vset1(2), m));
    lost = vfma(d_low, vfma(e, vset1((real)0.5), vset1(-1)), lost);
    lost = vselect(vless(e, vset1((real)0.5)), lost, zero);
    vreal q = vdiv(e, d);
    q = vfma(q, lost, q);
    vreal p = vsub(one, q);
    *slope = vmul(q, p);
    return vselect(vless(x, zero), q, p);
}

/* tanh x:  x + x^3 P(x^2) for small |x|, else 1 - q with q = 2e / (1 + e),
   e = exp(-2|x|), and the sign of x put back.
   With r = 1 - |tanh x|, which is q itself where tanh saturates,
   tanh' = 1 - tanh^2 = r (2 - r) has no cancellation. */
LANES_INLINE vreal vtanh(vreal x, vreal *slope)
{
    vreal one = vset1(1), a = vabs(x), z = vmul(a, a), n;
    vreal small = vfma(vmul(a, z), POLYNOMIAL(z, TANH_TAIL), a);
    vreal m = exp_reduced(vmax_nan(vmul(a, vset1(-2)), EXP_NORMAL), &n);
    vreal e = vscale(m, n);
    vreal q = vdiv(vadd(e, e), vadd(one, e));
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
