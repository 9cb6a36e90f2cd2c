# The products of BPTT with sequences or models in lanes: weights are broadcast, vectors, or dual.


cdef void weigh_each(
    const Plan* plan, real* out, const real* w, const real* bias, const real* u,
    Py_ssize_t n_out, Py_ssize_t n_in, bint onto,
) noexcept nogil:
    """`affine` with a weight for each lane, or a dual one, once in the machine code."""
    if has_duals(plan):
        affine(DUAL, 2, out, w, bias, u, n_out, n_in, onto)
    elif plan.groups > 1:
        affine(OF_VECTOR, plan.vectors, out, w, bias, u, n_out, n_in, onto)
    elif plan.vectors == 8:
        affine_panels(OF_LANE, 8, out, w, bias, u, n_out, n_in, onto)
    else:
        affine(OF_LANE, plan.vectors, out, w, bias, u, n_out, n_in, onto)


cdef inline void weigh_by(
    bint of_lanes, const Plan* plan, real* out, const real* w, const real* bias, const real* u,
    Py_ssize_t n_out, Py_ssize_t n_in, bint onto,
) noexcept nogil:
    """out = start + W u, see `affine`; of_lanes is `each(plan)`, or a literal."""
    if of_lanes:
        weigh_each(plan, out, w, bias, u, n_out, n_in, onto)
    else:
        affine(SHARED, plan.vectors, out, w, bias, u, n_out, n_in, onto)


cdef inline void weigh(
    const Plan* plan, real* out, const real* w, const real* bias, const real* u,
    Py_ssize_t n_out, Py_ssize_t n_in, bint onto,
) noexcept nogil:
    weigh_by(each(plan), plan, out, w, bias, u, n_out, n_in, onto)


cdef inline real* entry(const Plan* plan, real* grad, Py_ssize_t i) noexcept nogil:
    """Where the i-th parameter is in a gradient."""
    return grad + i * plan.weights.given


cdef inline Entries entries(
    const Plan* plan, real* grad, Py_ssize_t first, Py_ssize_t stride, Py_ssize_t columns,
) noexcept nogil:
    return entries_of(grad, plan.weights.given, first, stride, columns)


cdef void add_outer_sum(
    const Plan* plan, Py_ssize_t steps, Entries to, Py_ssize_t n_a, Py_ssize_t n_u, const real* a,
    Py_ssize_t a_step, const real* u, Py_ssize_t u_step,
) noexcept nogil:
    """Entry i, j += sum of a[t, i] u[t, j], see `outer_sum`; of dual numbers that of
    a' u + a u'."""
    cdef bint dual = has_duals(plan)
    cdef int g, times = 2 if dual else plan.groups
    for g in range(times):         # in one place: it is many tiles
        outer_sum(
            &to, plan.vectors // times, plan.vectors, steps, n_a, n_u,
            a + (1 - g if dual else g) * LANES, a_step, u + g * LANES, u_step,
        )
        if dual:                   # both into the same entries, the bias's a' once
            to.ones = False
        else:
            to.grad += LANES
            to.bias += LANES


cdef void add_row_sums(
    const Plan* plan, Py_ssize_t steps, real* grad, Py_ssize_t first, Py_ssize_t n_a,
    const real* a, Py_ssize_t a_step,
) noexcept nogil:
    """grad[first + i] += sum of a[t, i], see `row_sums`; of dual numbers that of a'."""
    cdef int g, summed = plan.vectors // plan.groups
    if has_duals(plan):
        a, summed = a + LANES, 1
    for g in range(plan.groups):
        row_sums(
            plan.weights.given, summed, plan.vectors, steps,
            entry(plan, grad, first) + g * LANES, n_a, a + g * LANES, a_step,
        )
