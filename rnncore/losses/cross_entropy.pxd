"""Cross-entropy on logits, against the number d of a class.

    L = log(sum_k exp z_k) - z_d      dL/dz = softmax(z) - onehot(d)

Sums over "the other classes" are formed as such instead of as 1 - p, so that a loss near 0 and a
slope near 0 keep their digits.
"""

from libc.float cimport DBL_MAX, FLT_MAX

from rnncore.simd.lanes cimport (
    LANES, real, vabs, vadd, vdiv, vexp, vfma, vless, vload, vlog_ratio, vmask, vmin, vmul,
    vreal, vselect, vset1, vstore, vsub, vsum,
)
from rnncore.losses.loss cimport Loss, weighted


cdef inline vreal cross_entropy_evaluate(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight,
    Py_ssize_t _weight_rows, vreal scale, real* losses, bint* _outside,
) noexcept nogil:
    cdef vreal zero = vset1(0), total = zero, check = zero
    cdef vreal a, e, w, d, top, target_z, target_e, others, loss, sum, factor
    cdef Py_ssize_t k
    cdef int v
    cdef real* row
    for v in range(vectors):
        check = vfma(largest(K, vectors, z + v * LANES), zero, check)
    if vsum(check) != 0:
        for v in range(vectors):
            if vsum(vmul(largest(K, vectors, z + v * LANES), zero)) != 0:
                limit(K, vectors, z + v * LANES)
    for v in range(vectors):
        d = vload(target + v * LANES)
        w = vload(weight + v * LANES)
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
        sum = vadd(others, target_e)
        loss = vlog_ratio(sum, vdiv(others, target_e), target_z)
        loss = weighted(w, loss)
        total = vadd(total, loss)
        # softmax, but p_d - 1 = -others / sum
        factor = vdiv(scale, sum)
        for k in range(K):
            row = z + (k * vectors + v) * LANES
            e = vselect(is_class(k, d), vsub(zero, others), vload(row))
            vstore(row, weighted(w, vmul(e, factor)))
        if losses != NULL:
            vstore(losses + v * LANES, loss)
    return total


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


cdef inline void cross_entropy(Loss* loss) noexcept nogil:
    loss.name, loss.classes, loss.evaluate = "cross_entropy", True, cross_entropy_evaluate
