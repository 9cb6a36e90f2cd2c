"""Loss and its slope for the outputs of one step, from the logits z.

    bce            -d log s(z) - (1 - d) log(1 - s(z))      dL/dz = s(z) - d
    mse            (d - z)^2                                dL/dz = 2 (z - d)
    cross_entropy  log(sum_k exp z_k) - z_d                 dL/dz = softmax(z) - onehot(d)

Each is computed so that a loss near 0 and a slope near 0 keep their digits: s(z)
and 1 - s(z) come from one quotient, and sums over "the other classes" are formed
as such instead of as 1 - p.

Each takes z (K, lanes), target (K, lanes; class numbers as reals, one row, for
cross_entropy) and weight (lanes), or where outputs have weights of their own (K, lanes):
what the loss of the target is multiplied by, 0 where it does not count.  It overwrites z
by scale * weight * dL/dz and returns the sum of weight * L; unless losses is NULL, weight * L
goes there (K, lanes; one row for cross_entropy).  It may be z.
"""

from libc.float cimport DBL_MAX, FLT_MAX

from rnncore.lanes cimport (
    LANES, real, vabs, vadd, vdiv, vexp, vfma, vless, vload, vlog, vlog1p_unit,
    vmask, vmin, vmul, vreal, vselect, vset1, vstore, vsub, vsum,
)


cdef inline vreal weighted(vreal weight, vreal value) noexcept nogil:
    """weight * value; 0 where weight is 0, even where value is not a number"""
    return vselect(vless(vset1(0), weight), vmul(weight, value), vset1(0))


cdef inline double bce(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight,
    Py_ssize_t weight_rows, real scale, real* losses, bint* outside,
) noexcept nogil:
    """*outside is set where a counted target is not within [0, 1]."""
    cdef vreal zero = vset1(0), one = vset1(1), total = zero, wrong = zero
    cdef vreal a, d, w, e, q, p, s, s_minus, loss, slope, away
    cdef Py_ssize_t k, i
    cdef int v
    for k in range(K):
        for v in range(vectors):
            i = (k * vectors + v) * LANES
            a = vload(z + i)
            d = vload(target + i)
            w = vload(weight + (i if weight_rows > 1 else v * LANES))
            e = vexp(vsub(zero, vabs(a)))
            # s(|z|) = 1 / (1 + e), s(-|z|) = e / (1 + e)
            q = vdiv(e, vadd(one, e))
            p = vsub(one, q)
            s = vselect(vless(a, zero), q, p)
            s_minus = vselect(vless(a, zero), p, q)
            # max(z, 0) - d z + log(1 + exp(-|z|)), where 0 times infinity is 0
            away = vselect(vless(a, zero), vsub(zero, d), vsub(one, d))
            loss = vselect(vless(zero, vabs(away)), vmul(a, away), zero)
            loss = weighted(w, vadd(loss, vlog1p_unit(e)))
            total = vadd(total, loss)
            # s(z) - d = (1 - d) s(z) - d s(-z)
            slope = vsub(vmul(vsub(one, d), s), vmul(d, s_minus))
            vstore(z + i, weighted(w, vmul(vset1(scale), slope)))
            if losses != NULL:
                vstore(losses + i, loss)
            wrong = vselect(vless(d, zero), one, wrong)
            wrong = vselect(vless(one, d), one, wrong)
    if vsum(wrong) > 0:
        outside[0] = True
    return vsum(total)


cdef inline double mse(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight,
    Py_ssize_t weight_rows, real scale, real* losses,
) noexcept nogil:
    cdef vreal total = vset1(0), error, loss, w
    cdef Py_ssize_t k, i
    cdef int v
    for k in range(K):
        for v in range(vectors):
            i = (k * vectors + v) * LANES
            w = vload(weight + (i if weight_rows > 1 else v * LANES))
            error = vsub(vload(z + i), vload(target + i))
            loss = weighted(w, vmul(error, error))
            total = vadd(total, loss)
            vstore(z + i, weighted(w, vmul(vset1(2 * scale), error)))
            if losses != NULL:
                vstore(losses + i, loss)
    return vsum(total)


cdef inline double cross_entropy(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight, real scale,
    real* losses,
) noexcept nogil:
    cdef vreal zero = vset1(0), total = zero
    cdef vreal a, e, w, d, top, target_z, target_e, others, loss, ratio, factor
    cdef Py_ssize_t k
    cdef int v
    cdef real* row
    for v in range(vectors):
        d = vload(target + v * LANES)
        w = vload(weight + v * LANES)
        if vsum(vmul(largest(K, vectors, z + v * LANES), zero)) != 0:
            limit(K, vectors, z + v * LANES)
        top = largest(K, vectors, z + v * LANES)
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
        loss = weighted(w, loss)
        total = vadd(total, loss)
        # softmax, but p_d - 1 = -others / sum
        factor = vdiv(vset1(scale), vadd(others, target_e))
        for k in range(K):
            row = z + (k * vectors + v) * LANES
            e = vselect(is_class(k, d), vsub(zero, others), vload(row))
            vstore(row, weighted(w, vmul(e, factor)))
        if losses != NULL:
            vstore(losses + v * LANES, loss)
    return vsum(total)


cdef inline vreal largest(Py_ssize_t K, int vectors, const real* z) noexcept nogil:
    """The largest logit of each lane of a vector."""
    cdef vreal top = vload(z), a
    cdef Py_ssize_t k
    for k in range(1, K):
        a = vload(z + k * vectors * LANES)
        top = vselect(vless(top, a), a, top)
    return top


cdef inline void limit(Py_ssize_t K, int vectors, real* z) noexcept nogil:
    """Logits that have overflowed, to half of the largest number: their differences are then
    numbers.  A NaN remains one."""
    cdef vreal most = vset1(<real>(FLT_MAX / 2 if sizeof(real) == 4 else DBL_MAX / 2)), a
    cdef Py_ssize_t k
    for k in range(K):
        a = vmin(most, vload(z + k * vectors * LANES))
        a = vsub(vset1(0), vmin(most, vsub(vset1(0), a)))
        vstore(z + k * vectors * LANES, a)


cdef inline vmask is_class(Py_ssize_t k, vreal d) noexcept nogil:
    return vless(vabs(vsub(vset1(<real>k), d)), vset1(<real>0.5))
