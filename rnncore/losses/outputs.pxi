# The loop over outputs that most losses share.

# The loss of one number z against d, and dL/dz.
ctypedef vreal (*Point)(vreal z, vreal d, vreal* slope) noexcept nogil


cdef inline vreal weighted(vreal weight, vreal value) noexcept nogil:
    """weight * value; 0 where weight is 0, even where value is not a number"""
    return vselect(vless(vset1(0), weight), vmul(weight, value), vset1(0))


cdef inline void over_outputs(
    Point point, bint bounded, real low, real high, Py_ssize_t K, int vectors, real* z,
    const real* target, const real* weight, Py_ssize_t weight_rows, const real* scale, real* losses,
    real* sums, bint* outside,
) noexcept nogil:
    """`Evaluate` for a loss that is a sum over outputs.  point and bounded, whether targets have
    to be checked, are literals: each loss has a loop of its own."""
    cdef vreal zero = vset1(0), one = vset1(1), total = zero, wrong = zero
    cdef vreal d, w, loss, slope
    cdef Py_ssize_t k, i
    cdef int v
    for k in range(K):
        for v in range(vectors):
            i = (k * vectors + v) * LANES
            d = vload(target + i)
            w = vload(weight + (i if weight_rows > 1 else v * LANES))
            loss = weighted(w, point(vload(z + i), d, &slope))
            total = vadd(total, loss)
            vstore(z + i, weighted(w, vmul(vload_any(scale + v * LANES), slope)))
            if losses != NULL:
                vstore(losses + i, loss)
            if bounded:
                wrong = vselect(vless(d, vset1(low)), one, wrong)
                wrong = vselect(vless(vset1(high), d), one, wrong)
    if bounded and vsum(wrong) > 0:
        outside[0] = True
    vstore_any(sums, total)
