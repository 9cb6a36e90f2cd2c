# A whole call: weights packed once, then block after block of sequences.


cdef void pack_weights(Plan* plan) noexcept nogil:
    cdef Network* net = &plan.net
    cdef const real* p = plan.parameters
    cdef Py_ssize_t i, H = net.hidden, D = net.inputs, K = net.outputs, V = plan.vectors
    if not plan.tokens:
        pack(plan.step_weight, plan.rows, 0, V, p + net.weight_ih, H, D, D, 1)
    pack(plan.step_weight, plan.rows, plan.input_rows, V, p + net.weight_hh, H, H, H, 1)
    for i in range(H):
        plan.step_bias[i] = p[net.bias_ih + i] + p[net.bias_hh + i] if net.has_bias else 0
    if net.has_head:
        pack(plan.head_weight, H, 0, V, p + net.head_weight, K, H, H, 1)
        for i in range(K):
            plan.head_bias[i] = p[net.head_bias + i] if net.has_bias else 0
    if not plan.backward:
        return
    pack(plan.back_weight, H, 0, V, p + net.weight_hh, H, H, 1, H)
    if net.has_head:
        pack(plan.head_back_weight, K, 0, V, p + net.head_weight, H, K, 1, H)
    if plan.want_dx:
        pack(plan.input_back_weight, H, 0, V, p + net.weight_ih, D, H, 1, D)
    memset(plan.no_bias, 0, max(H, D if plan.want_dx else 0) * sizeof(real))
    for i in range(plan.lanes):
        plan.ones[i] = 1


cdef void forward_block(Plan* plan, const Sequences* seqs) noexcept nogil:
    """The block's states, and of its outputs and loss what the call asks for.

    With plan.backward the tape is kept whole and outputs are left to `backward_block`.
    """
    cdef Py_ssize_t t0 = 0, n = 0, K = plan.net.outputs, H = plan.net.hidden, last
    cdef bint reading = not plan.backward and (seqs.y != NULL or plan.net.loss != NO_LOSS)
    gather_state(plan, seqs)
    while t0 < plan.time:
        n = min(plan.segment, plan.time - t0)
        forward_segment(plan, seqs, t0, n)
        if seqs.hidden != NULL:
            scatter_rows(
                plan, state(plan, place(plan, t0) + 1), plan.rows * plan.lanes, H,
                plan.start, t0, n, hold_of(plan, t0), seqs.hidden,
            )
        if reading and plan.net.every_step:
            read_out(plan, place(plan, t0), n)
            deliver(plan, seqs, t0, n)
        t0 += n
        if not plan.backward and t0 < plan.time:
            memcpy(state(plan, 0), state(plan, n), H * plan.lanes * sizeof(real))
    last = plan.time - 1 if plan.backward else n - 1
    if reading and not plan.net.every_step:
        read_out(plan, last, 1)
        deliver(plan, seqs, 0, 1)
    if seqs.final != NULL:
        scatter_rows(plan, state(plan, last + 1), 0, H, plan.sequence, 0, 1, NULL, seqs.final)


cdef void deliver(Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n) noexcept nogil:
    """What was read out to the caller, or into the loss."""
    cdef Py_ssize_t K = plan.net.outputs
    if seqs.y != NULL and plan.net.every_step:
        scatter_rows(
            plan, plan.out, K * plan.lanes, K, plan.start, t0, n, hold_of(plan, t0), seqs.y
        )
    elif seqs.y != NULL:
        scatter_rows(plan, plan.out, 0, K, plan.sequence, 0, 1, NULL, seqs.y)
    else:
        compare(plan, seqs, t0, n)


cdef void work(
    Plan* plan, const Sequences* seqs, Py_ssize_t first, Py_ssize_t count, real* grad,
) noexcept nogil:
    """Sequences first .. first + count, block by block; grad (of plan.backward) is added to."""
    cdef Py_ssize_t done = 0
    cdef unsigned long long mode = flush_subnormals()
    pack_weights(plan)
    while done < count:
        open_block(plan, seqs, first + done, min(plan.lanes, count - done))
        forward_block(plan, seqs)
        if plan.backward:
            backward_block(plan, seqs, grad)
        done += plan.used
    if plan.backward:
        finish_gradient(&plan.net, grad)
    restore_subnormals(mode)
