# The products of BPTT with sequences or models in lanes: weights are broadcast, or vectors.


cdef void weigh_each(
    int vectors, real* out, const real* w, const real* bias, const real* u,
    Py_ssize_t n_out, Py_ssize_t n_in, bint onto,
) noexcept nogil:
    """`affine` with a weight for each lane, once in the machine code."""
    affine(True, vectors, out, w, bias, u, n_out, n_in, onto)


cdef inline void weigh(
    const Plan* plan, real* out, const real* w, const real* bias, const real* u,
    Py_ssize_t n_out, Py_ssize_t n_in, bint onto,
) noexcept nogil:
    """out = start + W u, see `affine`."""
    if each(plan):
        weigh_each(plan.vectors, out, w, bias, u, n_out, n_in, onto)
    else:
        affine(False, plan.vectors, out, w, bias, u, n_out, n_in, onto)


cdef inline real* entry(const Plan* plan, real* grad, Py_ssize_t i) noexcept nogil:
    """Where the i-th parameter is in a gradient."""
    return grad + i * plan.weights.given


cdef void add_outer_sum(
    const Plan* plan, Py_ssize_t steps, real* grad, Py_ssize_t first, Py_ssize_t stride,
    Py_ssize_t n_a, Py_ssize_t n_u, const real* a, Py_ssize_t a_step, const real* u,
    Py_ssize_t u_step,
) noexcept nogil:
    """grad[first + i * stride + j] += sum of a[t, i] u[t, j], see `outer_sum`."""
    outer_sum(
        plan.models_in_lanes, plan.vectors, steps, entry(plan, grad, first), stride, n_a, n_u, a,
        a_step, u, u_step,
    )


cdef void add_row_sums(
    const Plan* plan, Py_ssize_t steps, real* grad, Py_ssize_t first, Py_ssize_t n_a,
    const real* a, Py_ssize_t a_step,
) noexcept nogil:
    """grad[first + i] += sum of a[t, i], see `row_sums`."""
    row_sums(
        plan.models_in_lanes, plan.vectors, steps, entry(plan, grad, first), n_a, a, a_step
    )
