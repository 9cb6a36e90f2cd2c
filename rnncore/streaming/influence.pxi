# The influence of the parameters on the state, carried forwards in time.
#
#     dh_t/dp = (dh_t/dh_{t-1}) dh_{t-1}/dp + (dh_t/dc_{t-1}) dc_{t-1}/dp + what p does in step t
#
# and likewise dc_t/dp of a cell that has it. The matrix has a row for each unit and a column for
# each parameter p that the state depends on, so columns are in the lanes. What p does in step t
# itself is on one unit alone: dh_t/da_t times x_t, h_{t-1} or 1.

cdef enum:
    INFLUENCE_VECTORS = 4      # columns worked on at a time


cdef struct Moment:
    real* h                    # (P)
    real* c                    # (P)
    # (rows, columns) dh/dp, and after it dc/dp of a cell that has it; rows: H, or 1 where of every
    # column one entry is kept. Or the factor (columns) of an outer product, with the other one.
    real* influence
    real* direction            # (kinds, P)
    uint64_t random            # numbers to come, which the product goes by


cdef inline real dot(real start, const real* w, const real* u, Py_ssize_t n) noexcept nogil:
    """start + sum_j w[j] u[j]"""
    cdef Py_ssize_t j
    for j in range(n):
        start = real_fma(w[j], u[j], start)
    return start


cdef inline void influence_tile(
    int rows, real* out, const real* jacobian, const real* by_c, const real* before,
    const real* before_c, Py_ssize_t H, Py_ssize_t columns,
) noexcept nogil:
    """A literal number of rows of some columns."""
    cdef vreal sums[2 * INFLUENCE_VECTORS]
    cdef vreal m[INFLUENCE_VECTORS]
    cdef vreal weight
    cdef Py_ssize_t j
    cdef int i, v
    for i in range(rows):
        for v in range(INFLUENCE_VECTORS):
            sums[i * INFLUENCE_VECTORS + v] = vset1(0)
            if before_c != NULL:
                sums[i * INFLUENCE_VECTORS + v] = vmul(
                    vset1(by_c[i]), vload(before_c + i * columns + v * LANES)
                )
    for j in range(H):
        for v in range(INFLUENCE_VECTORS):
            m[v] = vload(before + j * columns + v * LANES)
        for i in range(rows):
            weight = vset1(jacobian[i * H + j])
            for v in range(INFLUENCE_VECTORS):
                sums[i * INFLUENCE_VECTORS + v] = vfma(
                    weight, m[v], sums[i * INFLUENCE_VECTORS + v]
                )
    for i in range(rows):
        for v in range(INFLUENCE_VECTORS):
            vstore(out + i * columns + v * LANES, sums[i * INFLUENCE_VECTORS + v])


cdef void carry_influence(
    Py_ssize_t rows, real* out, const real* jacobian, const real* by_c, const real* before,
    const real* before_c, Py_ssize_t H, Py_ssize_t columns,
) noexcept nogil:
    """out (rows, columns) = jacobian (rows, H) before (H, columns) + by_c (rows) before_c, of which
    the last term is left out where before_c is NULL."""
    cdef Py_ssize_t first = 0, i
    cdef const real* old
    while first < columns:
        i = 0
        while i < rows:
            old = NULL
            if before_c != NULL:
                old = before_c + i * columns + first
            if i + 1 < rows:
                influence_tile(
                    2, out + i * columns + first, jacobian + i * H, by_c + i, before + first, old,
                    H, columns,
                )
            else:
                influence_tile(
                    1, out + i * columns + first, jacobian + i * H, by_c + i, before + first, old,
                    H, columns,
                )
            i += 2
        first += INFLUENCE_VECTORS * LANES


cdef void carry_own_influence(
    const int32_t* unit, real* out, const real* jacobian, const real* by_c, const real* before,
    const real* before_c, Py_ssize_t H, Py_ssize_t columns,
) noexcept nogil:
    """The same of one entry of each column, that of its unit, alone: the diagonal of `jacobian`."""
    cdef Py_ssize_t p
    cdef int32_t i
    for p in range(columns):
        i = unit[p]
        out[p] = jacobian[i * (H + 1)] * before[p]
        if before_c != NULL:
            out[p] += by_c[i] * before_c[p]
