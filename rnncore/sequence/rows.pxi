# Rows of one sequence, in the caller's arrays or with units in lanes.


cdef bint any_not_finite(const real* numbers, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef vreal check = vset1(0)
    cdef int bad = 0
    while i + LANES <= n:
        # 0 times a number is 0, 0 times infinity or NaN is NaN
        check = vfma(vload_any(numbers + i), vset1(0), check)
        i += LANES
    while i < n:
        bad |= numbers[i] - numbers[i] != 0
        i += 1
    return bad != 0 or vsum(check) != 0


cdef inline void start_from(real* row, const real* given, Py_ssize_t n) noexcept nogil:
    """A row of a state; NULL: zeros."""
    if given != NULL:
        memcpy(row, given, n * sizeof(real))
    else:
        memset(row, 0, n * sizeof(real))


cdef inline void copy_rows(
    real* to, Py_ssize_t to_step, const real* rows, Py_ssize_t step, Py_ssize_t width, Py_ssize_t n,
) noexcept nogil:
    """n rows of so many numbers, each a step from the one before."""
    cdef Py_ssize_t t
    for t in range(n):
        memcpy(to + t * to_step, rows + t * step, width * sizeof(real))


cdef void product(
    real* out, Py_ssize_t out_step, Py_ssize_t n_out, const real* w, const real* bias,
    const real* u, Py_ssize_t u_step, Py_ssize_t n_in, Py_ssize_t n, bint onto,
) noexcept nogil:
    """`affine_units`, once in the machine code: it is many tiles."""
    affine_units(out, out_step, n_out, w, bias, u, u_step, n_in, n, onto)
