# The loop over time that reads the tape, last step first.


cdef inline void release_held(const Plan* plan, real* dh, const real* hold) noexcept nogil:
    """A held step passes dL/dh_t straight on to h_{t-1}; a counted one does not."""
    cdef Py_ssize_t i
    cdef int v
    for i in range(plan.net.hidden):
        for v in range(plan.vectors):
            vstore(dh, vselect(vless(vset1(0), vload(hold + v * LANES)), vset1(0), vload(dh)))
            dh += LANES


cdef void steps_back(Plan* plan, Py_ssize_t t0, Py_ssize_t n) noexcept nogil:
    """dL/da_t into plan.da for steps t0 .. t0 + n, and plan.dh from after them to before them."""
    cdef Py_ssize_t width = plan.net.hidden * plan.lanes, t
    cdef const real* slope = plan.slope + t0 * width
    cdef real* da
    cdef Py_ssize_t free = 0
    cdef bint held
    if plan.net.hidden == 1 and not plan.net.every_step:
        free = max(0, min(n, plan.held_from - t0))  # steps at which every lane counts
    for t in range(n - 1, free - 1, -1):
        if plan.net.every_step:
            out_to_state(plan, t)
        da = plan.da + t * width
        elman_da(plan, slope + t * width, plan.dh, da)
        held = t0 + t >= plan.held_from
        if held:
            release_held(plan, plan.dh, plan.hold + (t0 + t) * plan.lanes)
        elman_dh(plan, da, plan.dh, held)
    scalar_backward(plan, slope, free)


cdef inline void out_to_state(Plan* plan, Py_ssize_t t) noexcept nogil:
    """dL/dh_t += W_y^T dL/dy_t, for the t-th step in plan.out"""
    cdef const real* dy = plan.out + t * plan.net.outputs * plan.lanes
    cdef Py_ssize_t i
    if plan.net.has_head:
        affine(
            plan.vectors, plan.dh, plan.head_back_weight, plan.no_bias, dy,
            plan.net.hidden, plan.net.outputs, True,
        )
    else:
        for i in range(plan.net.hidden * plan.vectors):
            vstore(plan.dh + i * LANES, vadd(vload(plan.dh + i * LANES), vload(dy + i * LANES)))


cdef void head_gradient(Plan* plan, real* grad, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    """dL/dW_y = sum_t dL/dy_t h_t^T and dL/db_y = sum_t dL/dy_t for n steps in plan.out,
    whose states are those after slot `first`."""
    cdef Py_ssize_t K = plan.net.outputs, step = K * plan.lanes
    if not plan.net.has_head:
        return
    outer_sum(
        plan.vectors, n, grad + plan.net.head_weight, K, plan.net.hidden,
        plan.out, step, state(plan, first + 1), plan.rows * plan.lanes,
    )
    if plan.net.has_bias:
        row_sums(plan.vectors, n, grad + plan.net.head_bias, K, plan.out, step)


cdef void step_gradient(Plan* plan, real* grad, Py_ssize_t t0, Py_ssize_t n) noexcept nogil:
    """dL/dW = sum_t dL/da_t [x_t ; h_{t-1}]^T and dL/db = sum_t dL/da_t over the segment."""
    cdef Py_ssize_t H = plan.net.hidden, D = plan.net.inputs, t
    cdef Py_ssize_t width = H * plan.lanes, step = plan.rows * plan.lanes
    if plan.tokens:
        token_gradient(plan, grad, t0, n)
    if H == 1 and plan.input_rows <= 4:
        scalar_gradient(plan, grad, plan.tape + t0 * step, n)
        return
    if plan.net.has_bias:
        # b_ih and b_hh are added to the same sum: the second is a copy, see finish_gradient
        row_sums(plan.vectors, n, grad + plan.net.bias_ih, H, plan.da, width)
    if plan.width:
        for t in range(n):
            lanes_to_rows(
                plan.vectors, plan.da_rows + t * plan.lanes * plan.width, plan.da + t * width,
                H, plan.width,
            )
        contract(
            n, plan.lanes, plan.used, plan.grad_rows, plan.width, plan.rows,
            plan.tape + t0 * step, step, plan.da_rows,
        )
        return
    outer_sum(
        plan.vectors, n, grad + plan.net.weight_hh, H, H, plan.da, width, state(plan, t0), step
    )
    if not plan.tokens:
        outer_sum(
            plan.vectors, n, grad + plan.net.weight_ih, H, D,
            plan.da, width, plan.tape + t0 * step, step,
        )


cdef void token_gradient(Plan* plan, real* grad, Py_ssize_t t0, Py_ssize_t n) noexcept nogil:
    """dL/dW_ih: with one-hot x_t, dL/da_t goes to one column."""
    cdef Py_ssize_t H = plan.net.hidden, i, t, lane
    cdef const int32_t* token = plan.token + t0 * plan.lanes
    cdef real* row
    for i in range(H):
        row = grad + plan.net.weight_ih + i * plan.net.inputs
        for t in range(n):
            for lane in range(plan.used):
                row[token[t * plan.lanes + lane]] += plan.da[(t * H + i) * plan.lanes + lane]


cdef void finish_gradient(Plan* plan, real* grad) noexcept nogil:
    """b_hh enters every step as b_ih does; what was summed with units side by side goes to
    where it belongs."""
    cdef Py_ssize_t H = plan.net.hidden, D = plan.input_rows, i, j
    if plan.net.has_bias:
        memcpy(grad + plan.net.bias_hh, grad + plan.net.bias_ih, H * sizeof(real))
    if not plan.width:
        return
    for i in range(H):
        for j in range(D):
            grad[plan.net.weight_ih + i * D + j] += plan.grad_rows[j * plan.width + i]
        for j in range(H):
            grad[plan.net.weight_hh + i * H + j] += plan.grad_rows[(D + j) * plan.width + i]


cdef void input_gradient(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """dL/dx_t = W_ih^T dL/da_t"""
    cdef Py_ssize_t H = plan.net.hidden, D = plan.net.inputs, t
    cdef const real* hold
    for t in range(n):
        affine(
            plan.vectors, plan.dx, plan.input_back_weight, plan.no_bias,
            plan.da + t * H * plan.lanes, D, H, False,
        )
        hold = plan.hold + (t0 + t) * plan.lanes if plan.ragged else NULL
        scatter_rows(plan, plan.dx, 0, D, plan.start, t0 + t, 1, hold, seqs.dx)


cdef void slopes_of_last(
    Plan* plan, const Sequences* seqs, real* grad, Py_ssize_t first,
) noexcept nogil:
    """dL/dh of the state after slot `first`, the last that is read out, into plan.dh; the
    head's gradient."""
    memset(plan.dh, 0, plan.net.hidden * plan.lanes * sizeof(real))
    read_out(plan, first, 1)
    compare(plan, seqs, 0, 1)
    head_gradient(plan, grad, first, 1)
    out_to_state(plan, 0)


cdef void slopes_of_steps(
    Plan* plan, const Sequences* seqs, real* grad, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """dL/dy_t of the steps t0 .. t0 + n into plan.out; the head's gradient."""
    read_out(plan, t0, n)
    compare(plan, seqs, t0, n)
    head_gradient(plan, grad, t0, n)


cdef void backward_block(Plan* plan, const Sequences* seqs, real* grad) noexcept nogil:
    """From the tape to the gradients: grad += those of this block."""
    cdef Py_ssize_t t0 = (plan.time - 1) // plan.segment * plan.segment, n = plan.time - t0
    if plan.net.every_step:
        memset(plan.dh, 0, plan.net.hidden * plan.lanes * sizeof(real))
    else:
        slopes_of_last(plan, seqs, grad, plan.time - 1)
    while t0 >= 0:
        if plan.net.every_step:
            slopes_of_steps(plan, seqs, grad, t0, n)
        steps_back(plan, t0, n)
        step_gradient(plan, grad, t0, n)
        if plan.want_dx:
            input_gradient(plan, seqs, t0, n)
        t0 -= plan.segment
        n = plan.segment
    if seqs.dh0 != NULL:
        scatter_rows(plan, plan.dh, 0, plan.net.hidden, plan.sequence, 0, 1, NULL, seqs.dh0)
