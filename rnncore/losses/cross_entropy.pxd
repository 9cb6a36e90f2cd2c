"""Cross-entropy on logits, against the number d of a class, or the probability p_k of each.

    L = log(sum_k exp z_k) - z_d            dL/dz = softmax(z) - onehot(d)
    L = -sum_k p_k log softmax(z)_k         dL/dz = (sum_k p_k) softmax(z) - p

Sums over "the other classes" are formed as such instead of as 1 - p, so that a loss near 0 and a
slope near 0 keep their digits.
"""

from libc.float cimport DBL_MAX, FLT_MAX

from ..simd.lanes cimport (
    LANES, MANY, real, vabs, vadd, vdiv, vexp, vfma, vless, vload, vload_any, vlog_gates,
    vlog_ratio, vmask, vmin, vmul, vreal, vselect, vset1, vstore, vstore_any, vsub, vsum,
)
from .loss cimport Loss, weighted


cdef inline vreal of_classes(
    int vectors, int wide, Py_ssize_t K, real* z, const real* target, const real* weight,
    const real* scale, real* losses,
) noexcept nogil:
    """`Evaluate` for a literal number of vectors, side by side, since each has long chains, of rows
    as wide as that."""
    cdef vreal top[MANY]
    cdef vreal others[MANY]
    cdef vreal target_e[MANY]
    cdef vreal target_z[MANY]
    cdef vreal zero = vset1(0), total = zero, check = zero, a, e, d, w, sum, loss
    cdef Py_ssize_t k
    cdef int v
    cdef real* row
    for v in range(vectors):
        top[v] = largest(K, wide, z + v * LANES)
        check = vfma(top[v], zero, check)
    if vsum(check) != 0:
        for v in range(vectors):
            if vsum(vmul(top[v], zero)) != 0:
                limit(K, wide, z + v * LANES)
                top[v] = largest(K, wide, z + v * LANES)
    for v in range(vectors):
        # 0, in a way that no compiler makes three slow calls of memset of
        others[v] = target_e[v] = target_z[v] = vsub(top[v], top[v])
    for k in range(K):
        for v in range(vectors):
            row = z + (k * wide + v) * LANES
            d = vload(target + v * LANES)
            a = vsub(vload(row), top[v])
            e = vexp(a)
            vstore(row, e)
            target_e[v] = vselect(is_class(k, d), e, target_e[v])
            target_z[v] = vselect(is_class(k, d), a, target_z[v])
            others[v] = vadd(others[v], vselect(is_class(k, d), zero, e))
    for v in range(vectors):
        # log(1 + others / target) where that is below log 2, else log(sum) - z_d
        w = vload(weight + v * LANES)
        sum = vadd(others[v], target_e[v])
        loss = weighted(w, vlog_ratio(sum, vdiv(others[v], target_e[v]), target_z[v]))
        total = vadd(total, loss)
        top[v] = vdiv(vload_any(scale + v * LANES), sum)
        if losses != NULL:
            vstore(losses + v * LANES, loss)
    if losses == z:                # dL/dz is not wanted
        return total
    # softmax, but p_d - 1 = -others / sum
    for k in range(K):
        for v in range(vectors):
            row = z + (k * wide + v) * LANES
            d, w = vload(target + v * LANES), vload(weight + v * LANES)
            e = vselect(is_class(k, d), vsub(zero, others[v]), vload(row))
            vstore(row, weighted(w, vmul(e, top[v])))
    return total


cdef inline vreal of_two_classes(
    int vectors, int wide, real* z, const real* target, const real* weight, const real* scale,
    real* losses,
) noexcept nogil:
    """The same for K = 2:  L = log(1 + exp u), dL/du = s(u), u = z_other - z_d, with less than half
    of the work."""
    cdef vreal u[MANY]
    cdef vreal log[MANY]
    cdef vreal s[MANY]
    cdef vreal rest_of_1[MANY]
    cdef vmask first[MANY]
    cdef vreal zero = vset1(0), total = zero, check = zero, w, loss, slope
    cdef int v
    cdef real* other = z + wide * LANES
    for v in range(vectors):
        u[v] = vsub(vload(other + v * LANES), vload(z + v * LANES))
        check = vfma(u[v], zero, check)
    if vsum(check) != 0:
        for v in range(vectors):
            limit(2, wide, z + v * LANES)
            u[v] = vsub(vload(other + v * LANES), vload(z + v * LANES))
    for v in range(vectors):
        # One that is no class has no weight either.
        first[v] = vless(vload(target + v * LANES), vset1(<real>0.5))
        u[v] = vselect(first[v], u[v], vsub(zero, u[v]))
    vlog_gates(vectors, u, log, s, rest_of_1)
    for v in range(vectors):
        w = vload(weight + v * LANES)
        # max(u, 0) + log(1 + exp(-|u|))
        loss = weighted(w, vadd(vselect(vless(zero, u[v]), u[v], zero), log[v]))
        total = vadd(total, loss)
        slope = weighted(w, vmul(vload_any(scale + v * LANES), s[v]))
        vstore(z + v * LANES, vselect(first[v], vsub(zero, slope), slope))
        vstore(other + v * LANES, vselect(first[v], slope, vsub(zero, slope)))
        if losses != NULL:
            vstore(losses + v * LANES, loss)
    return total


cdef inline vreal of_vectors(
    int vectors, int wide, Py_ssize_t K, real* z, const real* target, const real* weight,
    const real* scale, real* losses,
) noexcept nogil:
    if K == 2:
        return of_two_classes(vectors, wide, z, target, weight, scale, losses)
    return of_classes(vectors, wide, K, z, target, weight, scale, losses)


cdef inline void cross_entropy_evaluate(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight,
    Py_ssize_t _weight_rows, const real* scale, real* losses, real* sums, bint* _outside,
) noexcept nogil:
    cdef vreal total
    if vectors == 1:
        total = of_vectors(1, 1, K, z, target, weight, scale, losses)
    elif vectors == 2:
        total = of_vectors(2, 2, K, z, target, weight, scale, losses)
    else:
        total = of_vectors(4, vectors, K, z, target, weight, scale, losses)
    if vectors == 8:
        total = vadd(total, of_vectors(
            4, 8, K, z + 4 * LANES, target + 4 * LANES, weight + 4 * LANES, scale + 4 * LANES,
            NULL if losses == NULL else losses + 4 * LANES,
        ))
    vstore_any(sums, total)


cdef inline void soft_evaluate(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight,
    Py_ssize_t _weight_rows, const real* scale, real* losses, real* sums, bint* _outside,
) noexcept nogil:
    """`Evaluate` against probabilities.  1 - softmax and the sum of p but for p_k are formed as
    sums over the others where these may be small."""
    cdef vreal zero = vset1(0), one = vset1(1), total = zero
    cdef vreal top, most, a, e, p, w, s, rest, away, others, unlikely, cost, loss
    cdef vreal found, chosen
    cdef Py_ssize_t k
    cdef int v
    cdef real* row
    for v in range(vectors):
        top = largest(K, vectors, z + v * LANES)
        if vsum(vmul(top, zero)) != 0:
            limit(K, vectors, z + v * LANES)
            top = largest(K, vectors, z + v * LANES)
        most = largest(K, vectors, target + v * LANES)
        others = unlikely = cost = found = chosen = zero
        for k in range(K):
            row = z + (k * vectors + v) * LANES
            p, a = vload(target + (k * vectors + v) * LANES), vsub(vload(row), top)
            e = vexp(a)
            vstore(row, e)
            cost = vfma(p, vsub(zero, a), cost)
            others = vadd(others, vselect(is_first(e, one, &found), zero, e))
            unlikely = vadd(unlikely, vselect(is_first(p, most, &chosen), zero, p))
        # sum_k p_k (log(sum) - a_k), of which nothing is negative
        w = vload(weight + v * LANES)
        loss = vlog_ratio(vadd(one, others), others, zero)
        loss = weighted(w, vfma(vadd(most, unlikely), loss, cost))
        total = vadd(total, loss)
        if losses != NULL:
            vstore(losses + v * LANES, loss)
        if losses == z:            # dL/dz is not wanted
            continue
        found = chosen = zero
        for k in range(K):         # s (sum of p - p_k) - p_k (1 - s)
            row = z + (k * vectors + v) * LANES
            p, e = vload(target + (k * vectors + v) * LANES), vload(row)
            s = vdiv(e, vadd(one, others))
            rest = vdiv(others, vadd(one, others))
            rest = vselect(is_first(e, one, &found), rest, vsub(one, s))
            away = vsub(vadd(most, unlikely), p)
            away = vselect(is_first(p, most, &chosen), unlikely, away)
            s = vsub(vmul(s, away), vmul(p, rest))
            vstore(row, weighted(w, vmul(vload_any(scale + v * LANES), s)))
    vstore_any(sums, total)


cdef inline vmask is_first(vreal number, vreal most, vreal* found) noexcept nogil:
    """Where a number is the largest, and none before it was."""
    cdef vreal now = vselect(vless(number, most), vset1(0), vsub(vset1(1), found[0]))
    found[0] = vadd(found[0], now)
    return vless(vset1(0), now)


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
    loss.name, loss.joint, loss.classes = "cross_entropy", True, True
    loss.evaluate, loss.soft = cross_entropy_evaluate, soft_evaluate
