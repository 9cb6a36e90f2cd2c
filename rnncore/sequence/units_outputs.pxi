# A block of one sequence with its units in lanes: the read-out, and losses with steps in lanes.


cdef void units_to_rows(
    const Plan* plan, Py_ssize_t first, Py_ssize_t of_reverse, Py_ssize_t n, real* rows,
    Py_ssize_t step,
) noexcept nogil:
    """The last layer's states after n steps, both directions side by side, see `side_by_side`."""
    cdef const Layer* layer = top_layer(plan)
    cdef Py_ssize_t H = plan.net.hidden, d, at
    for d in range(plan.net.directions):
        at = after(&layer[d], of_reverse if d else first)
        copy_rows(rows + d * H, step, state(plan, &layer[d], at), layer.slot_size, H, n)


cdef void read_out_units(const Plan* plan, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    """y_t of n tape indices from `first` on as rows (n, K padded), see `read_out`."""
    cdef Py_ssize_t K = plan.net.outputs, d
    cdef const Layer* layer = top_layer(plan)
    if not plan.net.has_head:
        d = index_read(plan, layer + plan.net.directions - 1, first)
        units_to_rows(
            plan, index_read(plan, layer, first), d, n, plan.block.out_rows, padded(K)
        )
        return
    for d in range(plan.net.directions):
        product(
            plan.block.out_rows, padded(K), K, layer[d].head_columns, plan.head_bias,
            state(plan, &layer[d], after(&layer[d], index_read(plan, &layer[d], first))),
            layer.slot_size, plan.net.hidden, n, d > 0,
        )


cdef void compare_units(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """As `compare`: from rows of logits to rows of dL/dlogits."""
    cdef Py_ssize_t K = plan.net.outputs, W = target_width(&plan.net), wide = padded(K), t = 0, k, m
    cdef Py_ssize_t row = rows_of_outputs(plan)[0] + t0, lane
    cdef real* z = plan.block.out
    cdef real* rows = plan.block.out_rows
    cdef real* losses = NULL
    cdef real sums[LANES]
    cdef bint outside = False
    if seqs.dy != NULL:
        if any_not_finite(seqs.dy + row * K, n * K):
            plan.result.faults |= BAD_INPUT
        copy_rows(rows, wide, seqs.dy + row * K, K, K, n)
        return
    if seqs.losses != NULL:
        losses = z                # dL/dy is not wanted then
    if seqs.target != NULL and any_not_finite(
        seqs.target + row * target_size(&plan.net), n * target_size(&plan.net)
    ):
        plan.result.faults |= BAD_TARGET
    while t < n:
        m = min(n - t, <Py_ssize_t>LANES)
        memset(z, 0, K * LANES * sizeof(real))
        for k in range(K):
            for lane in range(m):
                z[k * LANES + lane] = rows[(t + lane) * wide + k]
        targets_of_steps(plan, seqs, row + t, m)
        plan.net.loss.evaluate(
            K, 1, z, plan.block.target, plan.block.weight, plan.weight_rows,
            plan.job.scale, losses, sums, &outside,
        )
        plan.result.loss += vsum(vload_any(sums))
        if losses != NULL:
            for k in range(W):
                for lane in range(m):
                    seqs.losses[(row + t + lane) * W + k] = losses[k * LANES + lane]
        else:
            for k in range(K):
                for lane in range(m):
                    rows[(t + lane) * wide + k] = z[k * LANES + lane]
        t += LANES
    if outside:
        plan.result.faults |= BAD_TARGET


cdef void targets_of_steps(
    Plan* plan, const Sequences* seqs, Py_ssize_t row, Py_ssize_t m,
) noexcept nogil:
    """Targets and weights of m rows into as many lanes; the other lanes do not count."""
    cdef Py_ssize_t W = target_size(&plan.net), V = plan.weight_rows, k, lane
    cdef real* target = plan.block.target
    cdef real* weight = plan.block.weight
    cdef int64_t number
    memset(target, 0, W * LANES * sizeof(real))
    memset(weight, 0, V * LANES * sizeof(real))
    for k in range(V):
        for lane in range(m):
            weight[k * LANES + lane] = 1
            if seqs.target_weight != NULL:
                weight[k * LANES + lane] = seqs.target_weight[(row + lane) * V + k]
    if seqs.classes == NULL:
        for k in range(W):
            for lane in range(m):
                target[k * LANES + lane] = seqs.target[(row + lane) * W + k]
        for lane in range(m):
            if plan.net.loss.classes and target[lane] < 0:
                weight[lane] = 0
        return
    for lane in range(m):
        number = seqs.classes[row + lane] if weight[lane] > 0 else -1
        if number >= plan.net.outputs:
            plan.result.faults |= BAD_TARGET
        if not 0 <= number < plan.net.outputs:
            weight[lane] = 0
        target[lane] = <real>number
