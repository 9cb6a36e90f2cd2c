# The loop over time that writes the tape.


cdef inline void hold_state(
    const Plan* plan, const real* old, real* h, real* slope, const real* hold,
) noexcept nogil:
    """Where a step does not count: h_t = h_{t-1}, which does not depend on a_t."""
    cdef Py_ssize_t i
    cdef int v
    cdef vmask counts
    for i in range(plan.net.hidden):
        for v in range(plan.vectors):
            counts = vless(vset1(0), vload(hold + v * LANES))
            vstore(h, vselect(counts, vload(h), vload(old)))
            vstore(slope, vselect(counts, vload(slope), vset1(0)))
            h += LANES
            old += LANES
            slope += LANES


cdef void forward_segment(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """Steps t0 .. t0 + n of the block, from the state in the segment's first slot."""
    gather_inputs(plan, seqs, t0, n)
    forward_steps(plan, t0, n)


cdef void forward_steps(Plan* plan, Py_ssize_t t0, Py_ssize_t n) noexcept nogil:
    """`forward_segment` on inputs that are in the tape already."""
    cdef Py_ssize_t first = place(plan, t0), step = plan.rows * plan.lanes
    cdef Py_ssize_t width = plan.net.hidden * plan.lanes, t = 0
    cdef real* u = plan.tape + first * step
    cdef real* slope = plan.slope + first * width
    cdef real* h
    if plan.net.hidden == 1:
        t = max(0, min(n, plan.held_from - t0))  # steps at which every lane counts
        scalar_forward(plan, u, slope, t)
    while t < n:
        h = state(plan, first + t + 1)
        elman_forward(plan, u + t * step, h, slope + t * width, plan.tokens)
        if t0 + t >= plan.held_from:
            hold_state(
                plan, state(plan, first + t), h, slope + t * width,
                plan.hold + (first + t) * plan.lanes,
            )
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
