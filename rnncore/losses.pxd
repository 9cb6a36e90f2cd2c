"""Loss and its slope for the outputs of one step, from the logits z.

    bce            -d log s(z) - (1 - d) log(1 - s(z))      dL/dz = s(z) - d
    mse            (d - z)^2                                dL/dz = 2 (z - d)
    cross_entropy  log(sum_k exp z_k) - z_d                 dL/dz = softmax(z) - onehot(d)

Each is computed so that a loss near 0 and a slope near 0 keep their digits: s(z)
and 1 - s(z) come from one quotient, and sums over "the other classes" are formed
as such instead of as 1 - p.

Each takes z (K, lanes) and overwrites it by scale * dL/dz, with target (K, lanes;
class numbers as reals, one row, for cross_entropy) and weight (lanes), 1 where the
target counts, else 0 and its slope is 0; returns the sum of the counted losses.
"""

from rnncore.lanes cimport (
    LANES, real, vabs, vadd, vdiv, vexp, vfma, vless, vload, vlog, vlog1p_unit,
    vmask, vmul, vreal, vselect, vset1, vstore, vsub, vsum,
)


cdef inline vreal counted(vreal weight, vreal value) noexcept nogil:
    """value where weight > 0, else 0, even where value is not a number"""
    return vselect(vless(vset1(0), weight), value, vset1(0))


cdef inline double bce(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight,
    real scale, bint* outside,
) noexcept nogil:
    """*outside is set where a counted target is not within [0, 1]."""
    cdef vreal zero = vset1(0), one = vset1(1), total = zero, wrong = zero
    cdef vreal a, d, w, e, q, p, s, s_minus, loss
    cdef Py_ssize_t k, i
    cdef int v
    for k in range(K):
        for v in range(vectors):
            i = (k * vectors + v) * LANES
            a = vload(z + i)
            d = vload(target + i)
            w = vload(weight + v * LANES)
            e = vexp(vsub(zero, vabs(a)))
            # s(|z|) = 1 / (1 + e), s(-|z|) = e / (1 + e)
            q = vdiv(e, vadd(one, e))
            p = vsub(one, q)
            s = vselect(vless(a, zero), q, p)
            s_minus = vselect(vless(a, zero), p, q)
            # max(z, 0) - d z + log(1 + exp(-|z|))
            loss = vmul(a, vselect(vless(a, zero), vsub(zero, d), vsub(one, d)))
            total = vadd(total, counted(w, vadd(loss, vlog1p_unit(e))))
            # s(z) - d = (1 - d) s(z) - d s(-z)
            d = vsub(vmul(vsub(one, d), s), vmul(d, s_minus))
            vstore(z + i, counted(w, vmul(vset1(scale), d)))
            d = vload(target + i)
            wrong = vselect(vless(d, zero), one, wrong)
            wrong = vselect(vless(one, d), one, wrong)
    if vsum(wrong) > 0:
        outside[0] = True
    return vsum(total)


cdef inline double mse(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight, real scale,
) noexcept nogil:
    cdef vreal total = vset1(0), error, w
    cdef Py_ssize_t k, i
    cdef int v
    for k in range(K):
        for v in range(vectors):
            i = (k * vectors + v) * LANES
            w = vload(weight + v * LANES)
            error = vsub(vload(z + i), vload(target + i))
            total = vadd(total, counted(w, vmul(error, error)))
            vstore(z + i, counted(w, vmul(vset1(2 * scale), error)))
    return vsum(total)


cdef inline double cross_entropy(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight, real scale,
) noexcept nogil:
    cdef vreal zero = vset1(0), total = zero
    cdef vreal a, e, w, d, top, target_z, target_e, others, loss, ratio, factor
    cdef Py_ssize_t k
    cdef int v
    cdef real* row
    for v in range(vectors):
        d = vload(target + v * LANES)
        w = vload(weight + v * LANES)
        top = vload(z + v * LANES)
        for k in range(1, K):
            a = vload(z + (k * vectors + v) * LANES)
            top = vselect(vless(top, a), a, top)
        others = zero
        target_e = zero
        target_z = zero
        for k in range(K):
            row = z + (k * vectors + v) * LANES
            a = vsub(vload(row), top)
            e = vexp(a)
            vstore(row, e)
            target_e = vselect(is_class(k, d), e, target_e)
            target_z = vselect(is_class(k, d), a, target_z)
            others = vadd(others, vselect(is_class(k, d), zero, e))
        # log(1 + others / target) where that is below log 2, else log(sum) - z_d
        ratio = vdiv(others, target_e)
        loss = vsub(vlog(vadd(others, target_e)), target_z)
        loss = vselect(vless(ratio, vset1(1)), vlog1p_unit(ratio), loss)
        total = vadd(total, counted(w, loss))
        # softmax, but p_d - 1 = -others / sum
        factor = vdiv(vset1(scale), vadd(others, target_e))
        for k in range(K):
            row = z + (k * vectors + v) * LANES
            e = vselect(is_class(k, d), vsub(zero, others), vload(row))
            vstore(row, counted(w, vmul(e, factor)))
    return vsum(total)


cdef inline vmask is_class(Py_ssize_t k, vreal d) noexcept nogil:
    return vless(vabs(vsub(vset1(<real>k), d)), vset1(<real>0.5))
