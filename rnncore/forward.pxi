# The loop over time that writes the tape.


cdef inline real* saved_at(const Plan* plan, Py_ssize_t slot) noexcept nogil:
    """What the step out of a slot saves; NULL where nothing is to be saved."""
    return plan.saved + slot * plan.saved_rows * plan.lanes if plan.backward else NULL


cdef inline void cell_forward(Plan* plan, Py_ssize_t slot, Py_ssize_t t) noexcept nogil:
    """One step, the t-th of its segment, from a slot of the tape into the next."""
    cdef const real* u = plan.tape + slot * plan.rows * plan.lanes
    cdef real* h = state(plan, slot + 1)
    cdef real* saved = saved_at(plan, slot)
    cdef real* a = plan.gates + (t * plan.gate_rows * plan.lanes if plan.tokens else 0)
    if plan.net.cell == LSTM:
        lstm_forward(plan, u, a, memory(plan, slot), memory(plan, slot + 1), h, saved, plan.tokens)
    elif plan.net.cell == GRU:
        gru_forward(plan, u, a, h, saved, plan.tokens)
    else:
        elman_forward(plan, u, h, saved, plan.tokens)


cdef inline void hold_rows(
    const Plan* plan, const real* old, real* new, const real* hold,
) noexcept nogil:
    """Rows of H as they were where a step does not count."""
    cdef Py_ssize_t i
    cdef int v
    for i in range(plan.net.hidden):
        for v in range(plan.vectors):
            vstore(new, vselect(vless(vset1(0), vload(hold + v * LANES)), vload(new), vload(old)))
            old += LANES
            new += LANES


cdef inline void hold_step(Plan* plan, Py_ssize_t slot) noexcept nogil:
    """Where a step does not count the state stays as it was: no factor that was saved counts,
    and of a gated cell the last one, by which the state is kept, is 1."""
    cdef Py_ssize_t H = plan.net.hidden, i
    cdef const real* hold = plan.hold + slot * plan.lanes
    cdef real* saved = saved_at(plan, slot)
    cdef int v
    cdef vmask counts
    cdef vreal other
    hold_rows(plan, state(plan, slot), state(plan, slot + 1), hold)
    if plan.net.cell == LSTM:
        hold_rows(plan, memory(plan, slot), memory(plan, slot + 1), hold)
    if saved == NULL:
        return
    for i in range(plan.saved_rows):
        other = vset1(plan.net.cell != ELMAN and i >= plan.saved_rows - H)
        for v in range(plan.vectors):
            counts = vless(vset1(0), vload(hold + v * LANES))
            vstore(saved, vselect(counts, vload(saved), other))
            saved += LANES


cdef void forward_segment(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """Steps t0 .. t0 + n of the block, from the state in the segment's first slot."""
    gather_inputs(plan, seqs, t0, n)
    forward_steps(plan, t0, n)


cdef void forward_steps(Plan* plan, Py_ssize_t t0, Py_ssize_t n) noexcept nogil:
    """`forward_segment` on inputs that are in the tape already."""
    cdef Py_ssize_t first = place(plan, t0), t = 0
    if scalar(plan):
        t = max(0, min(n, plan.held_from - t0))  # steps at which every lane counts
        scalar_forward(
            plan, plan.tape + first * plan.rows * plan.lanes, saved_at(plan, first), t
        )
    while t < n:
        cell_forward(plan, first + t, t)
        if t0 + t >= plan.held_from:
            hold_step(plan, first + t)
        t += 1


cdef void read_out(Plan* plan, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    """y_t = W_y h_t + b_y for the n states after slot `first`; the states themselves
    where there is no head."""
    cdef Py_ssize_t t, K = plan.net.outputs
    for t in range(n):
        if plan.net.has_head:
            affine(
                plan.vectors, plan.out + t * K * plan.lanes, plan.head_weight, plan.head_bias,
                state(plan, first + t + 1), K, plan.net.hidden, False,
            )
        else:
            memcpy(
                plan.out + t * K * plan.lanes, state(plan, first + t + 1),
                K * plan.lanes * sizeof(real),
            )


cdef void compare(Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n) noexcept nogil:
    """Logits in plan.out against the targets: the loss onto plan.loss, its slope over the
    logits.  Where the caller gave dL/dy, that is the slope."""
    cdef Py_ssize_t K = plan.net.outputs, t, k
    cdef real* z = plan.out
    cdef const real* target = plan.target
    cdef const real* weight = plan.weight
    cdef bint outside = False
    if seqs.dy != NULL:
        gather_slopes(plan, seqs, t0, n)
        return
    gather_targets(plan, seqs, t0, n)
    for t in range(n):
        if plan.net.loss == BCE:
            plan.loss += bce(K, plan.vectors, z, target, weight, <real>plan.scale, &outside)
        elif plan.net.loss == MSE:
            plan.loss += mse(K, plan.vectors, z, target, weight, <real>plan.scale)
        else:
            plan.loss += cross_entropy(K, plan.vectors, z, target, weight, <real>plan.scale)
        z += K * plan.lanes
        target += plan.lanes if plan.net.loss == CROSS_ENTROPY else K * plan.lanes
        weight += plan.lanes
    if outside:
        plan.faults |= BAD_TARGET
