/* Dual numbers on lanes: a vector of numbers, and how each of them changes along a direction
 * (Clifford 1873; the R-operator of Pearlmutter 1994).
 *
 * One in memory is two vectors, one after the other.  Every operation of lanes.h that the step of a
 * cell or a loss is made of is here with the rule by which it is differentiated; comparisons look
 * at the numbers alone.  So what is written with these operations is differentiated exactly, as it
 * stands.
 */
#ifndef RNNCORE_DUALS_H
#define RNNCORE_DUALS_H

#include "simd/activations.h"

typedef struct { vreal number, change; } vdual;

#define DUAL_LANES (2 * LANES)

LANES_INLINE vdual dual(vreal number, vreal change)
{
    vdual a;
    a.number = number;
    a.change = change;
    return a;
}

LANES_INLINE vdual dual_load(const real *p) { return dual(vload(p), vload(p + LANES)); }
LANES_INLINE vdual dual_load_any(const real *p) { return dual(vload_any(p), vload_any(p + LANES)); }

LANES_INLINE void dual_store(real *p, vdual a)
{
    vstore(p, a.number);
    vstore(p + LANES, a.change);
}
LANES_INLINE void dual_store_any(real *p, vdual a)
{
    vstore_any(p, a.number);
    vstore_any(p + LANES, a.change);
}

LANES_INLINE vdual dual_set1(real s) { return dual(vset1(s), vset1(0)); }

LANES_INLINE vdual dual_add(vdual a, vdual b)
{
    return dual(vadd(a.number, b.number), vadd(a.change, b.change));
}

LANES_INLINE vdual dual_sub(vdual a, vdual b)
{
    return dual(vsub(a.number, b.number), vsub(a.change, b.change));
}

LANES_INLINE vdual dual_mul(vdual a, vdual b)
{
    return dual(
        vmul(a.number, b.number), vfma(a.change, b.number, vmul(a.number, b.change)));
}

LANES_INLINE vdual dual_fma(vdual a, vdual b, vdual c)
{
    return dual(
        vfma(a.number, b.number, c.number),
        vfma(a.change, b.number, vfma(a.number, b.change, c.change)));
}

LANES_INLINE vdual dual_div(vdual a, vdual b)
{
    vreal q = vdiv(a.number, b.number);
    return dual(q, vdiv(vsub(a.change, vmul(q, b.change)), b.number));
}

LANES_INLINE vmask dual_less(vdual a, vdual b) { return vless(a.number, b.number); }

LANES_INLINE vdual dual_select(vmask m, vdual a, vdual b)
{
    return dual(vselect(m, a.number, b.number), vselect(m, a.change, b.change));
}

LANES_INLINE vdual dual_min(vdual a, vdual b)
{
    return dual_select(vless(a.number, b.number), a, b);
}

/* The slope of |a| at 0 is taken as 1, as where a is not less than 0. */
LANES_INLINE vdual dual_abs(vdual a)
{
    vreal zero = vset1(0);
    return dual(
        vabs(a.number), vselect(vless(a.number, zero), vsub(zero, a.change), a.change));
}

LANES_INLINE real dual_sum(vdual a) { return vsum(a.number); }

LANES_INLINE vdual dual_exp(vdual x)
{
    vreal e = vexp(x.number);
    return dual(e, vmul(e, x.change));
}

LANES_INLINE vdual dual_log1p_unit(vdual e)
{
    return dual(
        vlog1p_unit(e.number), vdiv(e.change, vadd(vset1(1), e.number)));
}

LANES_INLINE vdual dual_log_ratio(vdual sum, vdual ratio, vdual offset)
{
    vreal one = vset1(1);
    return dual(
        vlog_ratio(sum.number, ratio.number, offset.number),
        vselect(
            vless(ratio.number, one), vdiv(ratio.change, vadd(one, ratio.number)),
            vsub(vdiv(sum.change, sum.number), offset.change)));
}

/* s' = s (1 - s), s'' = s' (1 - 2 s) */
LANES_INLINE void dual_gates_both(
    int many, const vdual *x, vdual *s, vdual *slope, vdual *rest_of_1)
{
    EACH {
        vreal number, first, rest;
        vgates_both(1, &x[i].number, &number, &first, &rest);
        vreal change = vmul(first, x[i].change);
        slope[i] = dual(first, vmul(vsub(rest, number), change));
        rest_of_1[i] = dual(rest, vsub(vset1(0), change));
        s[i] = dual(number, change);
    }
}

LANES_INLINE void dual_gates(int many, const vdual *x, vdual *s, vdual *slope)
{
    vdual rest_of_1[MANY];
    dual_gates_both(many, x, s, slope, rest_of_1);
}

/* log(1 + exp(-x))' = -(1 - s(x)), log(1 + exp x)' = s(x) */
LANES_INLINE void dual_log_gates(
    int many, const vdual *x, vdual *log, vdual *s, vdual *rest_of_1)
{
    EACH {
        vreal zero = vset1(0), number, value, rest;
        vlog_gates(1, &x[i].number, &value, &number, &rest);
        vreal change = vmul(vmul(number, rest), x[i].change);
        vreal slope = vselect(vless(x[i].number, zero), number, vsub(zero, rest));
        log[i] = dual(value, vmul(slope, x[i].change));
        s[i] = dual(number, change);
        rest_of_1[i] = dual(rest, vsub(zero, change));
    }
}

/* tanh'' = -2 tanh tanh' */
LANES_INLINE void dual_tanhs(int many, const vdual *x, vdual *y, vdual *slope)
{
    EACH {
        vreal number, first;
        vtanhs(1, &x[i].number, &number, &first);
        vreal change = vmul(first, x[i].change);
        slope[i] = dual(first, vmul(vmul(vset1(-2), number), change));
        y[i] = dual(number, change);
    }
}

/* Its second slope is 0 everywhere, and taken as that at 0. */
LANES_INLINE vdual dual_relu(vdual x, vdual *slope)
{
    vreal first, y = vrelu(x.number, &first);
    *slope = dual(first, vset1(0));
    return dual(y, vmul(first, x.change));
}

#endif /* RNNCORE_DUALS_H */
