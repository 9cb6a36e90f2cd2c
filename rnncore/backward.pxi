# The loop over time that reads the tape, last step first.


cdef inline void release_held(const Plan* plan, real* dh, const real* hold) noexcept nogil:
    """A held step passes dL/dh_t straight on to h_{t-1}; a counted one does not."""
    cdef Py_ssize_t i
    cdef int v
    for i in range(plan.net.hidden):
        for v in range(plan.vectors):
            vstore(dh, vselect(vless(vset1(0), vload(hold + v * LANES)), vset1(0), vload(dh)))
            dh += LANES


cdef inline void cell_back(
    const Plan* plan, const real* saved, real* da, const real* hold,
) noexcept nogil:
    """dL/da of one step into da, and plan.dh (and dc) from after it to before it; where steps
    may not count, hold says which do."""
    cdef Py_ssize_t H = plan.net.hidden
    cdef bint onto = hold != NULL or plan.net.cell == GRU
    cdef const real* recurrent = da
    if plan.net.cell == GRU:
        gru_da(plan, saved, plan.dh, da)
        recurrent = da + H * plan.lanes
    elif plan.net.cell == LSTM:
        lstm_da(plan, saved, plan.dh, plan.dc, da)
    else:
        elman_da(plan, saved, plan.dh, da)
    if hold != NULL and plan.net.cell != GRU:
        release_held(plan, plan.dh, hold)
    # dL/dh_{t-1} = W_hh^T dL/da_t, and what reaches h_{t-1} directly
    affine(
        plan.vectors, plan.dh, plan.back_weight, plan.no_bias, recurrent, H,
        plan.net.gates * H, onto,
    )


cdef void steps_back(Plan* plan, Py_ssize_t t0, Py_ssize_t n) noexcept nogil:
    """dL/da_t into plan.da for steps t0 .. t0 + n, and plan.dh from after them to before them."""
    cdef Py_ssize_t kept = plan.saved_rows * plan.lanes, t, free = 0
    cdef const real* saved = plan.saved + place(plan, t0) * kept
    cdef const real* hold
    if scalar(plan) and not plan.net.every_step:
        free = max(0, min(n, plan.held_from - t0))  # steps at which every lane counts
    for t in range(n - 1, free - 1, -1):
        if plan.net.every_step:
            out_to_state(plan, t)
        hold = NULL
        if t0 + t >= plan.held_from:
            hold = hold_of(plan, t0) + t * plan.lanes
        cell_back(plan, saved + t * kept, plan.da + t * plan.gate_rows * plan.lanes, hold)
    scalar_backward(plan, saved, free)


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


cdef void contract_gates(Plan* plan, Py_ssize_t n, const real* u) noexcept nogil:
    """The sums of n steps' outer products into plan.grad_rows."""
    cdef Py_ssize_t H = plan.net.hidden, D = plan.input_rows, W = plan.width
    cdef Py_ssize_t step = plan.rows * plan.lanes
    if plan.net.cell == GRU and H % LANES == 0:
        # of the four blocks x_t enters the first three and h_{t-1} the last three
        contract(n, plan.lanes, plan.used, plan.grad_rows, W, 3 * H, D, u, step, plan.da_rows)
        contract(
            n, plan.lanes, plan.used, plan.grad_rows + D * W + H, W, 3 * H, H,
            u + D * plan.lanes, step, plan.da_rows + H,
        )
    else:
        contract(
            n, plan.lanes, plan.used, plan.grad_rows, W, W, plan.rows, u, step, plan.da_rows
        )


cdef void step_gradient(Plan* plan, real* grad, Py_ssize_t t0, Py_ssize_t n) noexcept nogil:
    """dL/dW = sum_t dL/da_t [x_t ; h_{t-1}]^T and dL/db = sum_t dL/da_t over the segment."""
    cdef Py_ssize_t H = plan.net.hidden, D = plan.net.inputs, t, gate
    cdef Py_ssize_t width = plan.gate_rows * plan.lanes, step = plan.rows * plan.lanes
    cdef Py_ssize_t first = place(plan, t0)
    cdef const real* u = plan.tape + first * step
    if plan.tokens:
        token_gradient(plan, grad, t0, n)
    if scalar(plan) and plan.input_rows <= 4:
        scalar_gradient(plan, grad, u, n)
        return
    if plan.net.has_bias:
        row_sums(plan.vectors, n, plan.grad_bias, plan.gate_rows, plan.da, width)
    if plan.width:
        for t in range(n):
            lanes_to_rows(
                plan.vectors, plan.da_rows + t * plan.lanes * plan.width, plan.da + t * width,
                plan.gate_rows, plan.width,
            )
        contract_gates(plan, n, u)
        return
    for gate in range(plan.net.gates):
        outer_sum(
            plan.vectors, n, grad + plan.net.weight_hh + gate * H * H, H, H,
            plan.da + state_block(plan.net.cell, gate) * H * plan.lanes, width,
            state(plan, first), step,
        )
        if not plan.tokens:
            outer_sum(
                plan.vectors, n, grad + plan.net.weight_ih + gate * H * D, H, D,
                plan.da + input_block(plan.net.cell, gate) * H * plan.lanes, width, u, step,
            )


cdef void token_gradient(Plan* plan, real* grad, Py_ssize_t t0, Py_ssize_t n) noexcept nogil:
    """dL/dW_ih: with one-hot x_t, dL/da_t goes to one column."""
    cdef Py_ssize_t H = plan.net.hidden, i, t, lane
    cdef const int32_t* token = plan.token + place(plan, t0) * plan.lanes
    cdef const real* da
    cdef real* row = grad + plan.net.weight_ih
    for i in range(plan.net.gates * H):
        da = plan.da + (input_block(plan.net.cell, i // H) * H + i % H) * plan.lanes
        for t in range(n):
            for lane in range(plan.used):
                row[token[t * plan.lanes + lane]] += da[t * plan.gate_rows * plan.lanes + lane]
        row += plan.net.inputs


cdef void finish_gradient(Plan* plan, real* grad) noexcept nogil:
    """What was summed in the order of dL/da_t, and with its rows side by side, to where it
    belongs."""
    cdef Py_ssize_t H = plan.net.hidden, D = plan.input_rows, i, j, of_input, of_state
    for i in range(plan.net.gates * H):
        of_input = input_block(plan.net.cell, i // H) * H + i % H
        of_state = state_block(plan.net.cell, i // H) * H + i % H
        if plan.net.has_bias:
            grad[plan.net.bias_ih + i] += plan.grad_bias[of_input]
            grad[plan.net.bias_hh + i] += plan.grad_bias[of_state]
        if plan.width:
            for j in range(D):
                grad[plan.net.weight_ih + i * D + j] += plan.grad_rows[j * plan.width + of_input]
            for j in range(H):
                grad[plan.net.weight_hh + i * H + j] += (
                    plan.grad_rows[(D + j) * plan.width + of_state]
                )


cdef void input_gradient(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """dL/dx_t = W_ih^T dL/da_t"""
    cdef Py_ssize_t D = plan.net.inputs, t
    cdef const real* hold
    for t in range(n):
        affine(
            plan.vectors, plan.dx, plan.input_back_weight, plan.no_bias,
            plan.da + t * plan.gate_rows * plan.lanes, D, plan.net.gates * plan.net.hidden, False,
        )
        hold = hold_of(plan, t0) + t * plan.lanes if plan.ragged else NULL
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
    read_out(plan, place(plan, t0), n)
    compare(plan, seqs, t0, n)
    head_gradient(plan, grad, place(plan, t0), n)


cdef void backward_block(Plan* plan, const Sequences* seqs, real* grad) noexcept nogil:
    """From the tape to the gradients: grad += those of this block."""
    cdef Py_ssize_t t0 = (plan.time - 1) // plan.segment * plan.segment, n = plan.time - t0
    memset(plan.dc, 0, plan.net.hidden * plan.lanes * sizeof(real))
    if plan.net.every_step:
        memset(plan.dh, 0, plan.net.hidden * plan.lanes * sizeof(real))
    else:
        slopes_of_last(plan, seqs, grad, place(plan, t0) + n - 1)
    while t0 >= 0:
        if plan.starts != NULL and t0 + n < plan.time:  # the last one's tape is still there
            forward_again(plan, seqs, t0, n)
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
    if seqs.dc0 != NULL:
        scatter_rows(plan, plan.dc, 0, plan.net.hidden, plan.sequence, 0, 1, NULL, seqs.dc0)
