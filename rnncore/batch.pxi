# Weights packed once for a whole call, then block after block of sequences.


cdef void pack_weights(Plan* plan) noexcept nogil:
    cdef Network* net = &plan.net
    cdef const real* p = plan.parameters
    cdef const real* w_ih = p + net.weight_ih
    cdef const real* w_hh = p + net.weight_hh
    cdef Py_ssize_t i, H = net.hidden, D = net.inputs, K = net.outputs, V = plan.vectors
    cdef Py_ssize_t n = net.gates * H, fused = 2 * H if net.cell == GRU else n
    if not plan.tokens:
        pack(plan.step_weight, plan.rows, 0, V, w_ih, fused, D, D, 1)
    pack(plan.step_weight, plan.rows, plan.input_rows, V, w_hh, fused, H, H, 1)
    if net.cell == GRU:
        pack(plan.reset_weight, H, 0, V, w_hh + 2 * H * H, H, H, H, 1)
        if not plan.tokens:
            pack(plan.new_weight, D, 0, V, w_ih + 2 * H * D, H, D, D, 1)
    pack_bias(plan)
    if net.has_head:
        pack(plan.head_weight, H, 0, V, p + net.head_weight, K, H, H, 1)
        for i in range(K):
            plan.head_bias[i] = p[net.head_bias + i] if net.has_bias else 0
    if not plan.backward:
        return
    pack(plan.back_weight, n, 0, V, w_hh, H, n, 1, H)
    if net.has_head:
        pack(plan.head_back_weight, K, 0, V, p + net.head_weight, H, K, 1, H)
    if plan.want_dx and net.cell == GRU:
        pack(plan.input_back_weight, n, 0, V, w_ih + 2 * H * D, D, H, 1, D)
        pack(plan.input_back_weight, n, H, V, w_ih, D, 2 * H, 1, D)
    elif plan.want_dx:
        pack(plan.input_back_weight, n, 0, V, w_ih, D, n, 1, D)
    memset(plan.no_bias, 0, max(H, D if plan.want_dx else 0) * sizeof(real))


cdef void pack_bias(Plan* plan) noexcept nogil:
    """b_ih + b_hh in the order of a_t; those of a GRU's n stay apart."""
    cdef const real* b_ih = plan.parameters + plan.net.bias_ih
    cdef const real* b_hh = plan.parameters + plan.net.bias_hh
    cdef Py_ssize_t i, H = plan.net.hidden
    memset(plan.step_bias, 0, plan.gate_rows * sizeof(real))
    if not plan.net.has_bias:
        return
    if plan.net.cell != GRU:
        for i in range(plan.gate_rows):
            plan.step_bias[i] = b_ih[i] + b_hh[i]
        return
    for i in range(H):
        plan.step_bias[i] = b_ih[2 * H + i]
        plan.step_bias[3 * H + i] = b_hh[2 * H + i]
    for i in range(2 * H):
        plan.step_bias[H + i] = b_ih[i] + b_hh[i]


cdef void forward_block(Plan* plan, const Sequences* seqs) noexcept nogil:
    """The block's states, and of its outputs and loss what the call asks for.

    With plan.backward, outputs are left to `backward_block`.
    """
    cdef Py_ssize_t t0 = 0, n = 0, last = 0
    gather_state(plan, seqs)
    while t0 < plan.time:
        n = min(plan.segment, plan.time - t0)
        if plan.starts != NULL:
            keep_start(plan, t0)
        forward_segment(plan, seqs, t0, n)
        deliver_steps(plan, seqs, t0, n)
        last = place(plan, t0) + n - 1
        t0 += n
        if not plan.whole and t0 < plan.time:
            copy_state(plan, state(plan, 0), memory(plan, 0), state(plan, n), memory(plan, n))
    deliver_last(plan, seqs, last)


cdef inline void copy_state(
    const Plan* plan, real* h, real* c, const real* old_h, const real* old_c,
) noexcept nogil:
    cdef size_t size = plan.net.hidden * plan.lanes * sizeof(real)
    memcpy(h, old_h, size)
    if plan.net.cell == LSTM:
        memcpy(c, old_c, size)


cdef inline real* start_of(const Plan* plan, Py_ssize_t t0) noexcept nogil:
    """Where the state before the segment of step t0 is kept: h, and after it c."""
    return plan.starts + t0 // plan.segment * 2 * plan.net.hidden * plan.lanes


cdef inline void keep_start(const Plan* plan, Py_ssize_t t0) noexcept nogil:
    cdef real* start = start_of(plan, t0)
    copy_state(
        plan, start, start + plan.net.hidden * plan.lanes, state(plan, 0), memory(plan, 0)
    )


cdef void forward_again(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """The tape of a segment, for the second time: the same bits."""
    cdef const real* start = start_of(plan, t0)
    copy_state(
        plan, state(plan, 0), memory(plan, 0), start, start + plan.net.hidden * plan.lanes
    )
    forward_segment(plan, seqs, t0, n)


cdef inline bint reading(const Plan* plan, const Sequences* seqs) noexcept nogil:
    """Whether outputs are wanted on the way forward."""
    return not plan.backward and (seqs.y != NULL or plan.net.loss != NO_LOSS)


cdef void deliver_steps(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """What the caller wants of steps t0 .. t0 + n: states, outputs, loss."""
    cdef Py_ssize_t K = plan.net.outputs, first = place(plan, t0)
    if seqs.hidden != NULL:
        scatter_rows(
            plan, state(plan, first + 1), plan.rows * plan.lanes, plan.net.hidden,
            plan.start, t0, n, hold_of(plan, t0), seqs.hidden,
        )
    if plan.net.every_step and reading(plan, seqs):
        read_out(plan, first, n)
        if seqs.y != NULL:
            scatter_rows(
                plan, plan.out, K * plan.lanes, K, plan.start, t0, n, hold_of(plan, t0), seqs.y
            )
        else:
            compare(plan, seqs, t0, n)


cdef void deliver_last(Plan* plan, const Sequences* seqs, Py_ssize_t slot) noexcept nogil:
    """What the caller wants of the last state, that after `slot`."""
    if reading(plan, seqs) and not plan.net.every_step:
        read_out(plan, slot, 1)
        if seqs.y != NULL:
            scatter_rows(plan, plan.out, 0, plan.net.outputs, plan.sequence, 0, 1, NULL, seqs.y)
        else:
            compare(plan, seqs, 0, 1)
    if seqs.final != NULL:
        scatter_rows(
            plan, state(plan, slot + 1), 0, plan.net.hidden, plan.sequence, 0, 1, NULL, seqs.final
        )
    if seqs.final_c != NULL:
        scatter_rows(
            plan, memory(plan, slot + 1), 0, plan.net.hidden, plan.sequence, 0, 1, NULL,
            seqs.final_c,
        )


cdef void work(
    Plan* plan, const Sequences* seqs, Py_ssize_t first, Py_ssize_t count, real* grad,
) noexcept nogil:
    """Sequences first .. first + count, block by block; grad (of plan.backward) is added to."""
    cdef Py_ssize_t done = 0, i
    cdef unsigned long long mode = flush_subnormals()
    if plan.backward:
        memset(plan.grad_rows, 0, plan.rows * plan.width * sizeof(real))
        memset(plan.grad_bias, 0, plan.gate_rows * sizeof(real))
    if plan.chunked:
        for i in range(first, first + count):
            work_in_chunks(plan, seqs, seqs.order[i] if seqs.order != NULL else i, grad)
        done = count
    while done < count:
        open_block(plan, seqs, first + done, min(plan.lanes, count - done))
        forward_block(plan, seqs)
        if plan.backward:
            backward_block(plan, seqs, grad)
        done += plan.used
    if plan.backward:
        finish_gradient(plan, grad)
    restore_subnormals(mode)
