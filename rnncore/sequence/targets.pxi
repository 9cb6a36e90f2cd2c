# The caller's targets, their weights, and dL/dy, for the outputs of a block; and how many count.


cdef inline const Py_ssize_t* rows_of_outputs(const Plan* plan) noexcept nogil:
    """Of every lane the row that its first output has in the caller's arrays."""
    if plan.net.every_step:
        return &plan.block.start[0]
    return &plan.block.sequence[0]


cdef void gather_targets(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """target and weight for steps t0 .. t0 + n of a read-out "all", or of one for "last"."""
    cdef Py_ssize_t K = plan.net.outputs, W = plan.weight_rows, t, lane, v
    cdef const Py_ssize_t* first_row = rows_of_outputs(plan)
    cdef const real* mask = mask_of(plan, t0) if plan.net.every_step else NULL
    cdef int64_t number
    cdef int faults = plan.result.faults
    cdef real* weight
    for t in range(n):
        weight = plan.block.weight + t * W * plan.lanes
        for v in range(plan.vectors):
            vstore(weight + v * LANES, vload_any(plan.block.reads + v * LANES))
        # Not within that loop: compilers make of it masked loads from NULL, 140 ns each.
        if mask != NULL and t0 + t >= plan.block.masked_from:
            for lane in range(plan.lanes):
                weight[lane] *= mask[t * plan.lanes + lane] > 0
        if seqs.target_weight != NULL:
            spread_weights(plan, seqs, first_row, t0 + t, weight)
    if seqs.classes == NULL:
        W = target_size(&plan.net)
        gather_rows(
            plan, seqs.target, W, first_row, t0, n, mask, plan.block.target, W * plan.lanes
        )
        if plan.result.faults != faults:
            plan.result.faults = faults | BAD_TARGET
        if plan.net.loss.classes:
            leave_out_negative(plan, n)
        return
    if plan.block.shared:
        gather_shared_classes(plan, seqs.classes, first_row, t0, n)
        return
    for t in range(n):
        for lane in range(plan.lanes):
            number = -1
            if plan.block.weight[t * plan.lanes + lane] > 0:
                number = seqs.classes[first_row[lane] + t0 + t]
            if number >= K:
                plan.result.faults |= BAD_TARGET
            if not 0 <= number < K:
                plan.block.weight[t * plan.lanes + lane] = 0
            plan.block.target[t * plan.lanes + lane] = <real>number


cdef void gather_shared_classes(
    Plan* plan, const int64_t* classes, const Py_ssize_t* first_row, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """The same where all lanes of a vector have one sequence."""
    cdef Py_ssize_t t, at
    cdef const int64_t* numbers
    cdef int64_t number
    cdef int v
    for v in range(plan.vectors):
        numbers = classes + first_row[v * LANES] + t0
        for t in range(n):
            at = (t * plan.vectors + v) * LANES
            number = -1
            if vsum(vload(plan.block.weight + at)) > 0:
                number = numbers[t]
            if number >= plan.net.outputs:
                plan.result.faults |= BAD_TARGET
            if not 0 <= number < plan.net.outputs:
                vstore(plan.block.weight + at, vset1(0))
            vstore(plan.block.target + at, vset1(<real>number))


cdef void leave_out_negative(const Plan* plan, Py_ssize_t n) noexcept nogil:
    """Classes below 0, which are given as reals here, do not count."""
    cdef Py_ssize_t i
    cdef vreal zero = vset1(0), weight
    for i in range(n * plan.vectors):
        weight = vload(plan.block.weight + i * LANES)
        weight = vselect(vless(vload(plan.block.target + i * LANES), zero), zero, weight)
        vstore(plan.block.weight + i * LANES, weight)


cdef void spread_weights(
    const Plan* plan, const Sequences* seqs, const Py_ssize_t* first_row, Py_ssize_t t,
    real* weight,
) noexcept nogil:
    """The caller's weights of the targets at step t, where these count: weight (lanes) is 1."""
    cdef Py_ssize_t W = plan.weight_rows, L = plan.lanes, lane, k
    cdef bint counts
    for lane in range(L):
        counts = weight[lane] > 0
        for k in range(W):
            weight[k * L + lane] = (
                seqs.target_weight[(first_row[lane] + t) * W + k] if counts else 0
            )


cdef void gather_dy(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """The caller's dL/dy into plan.block.out."""
    cdef Py_ssize_t K = plan.net.outputs, i, lane
    gather_rows(
        plan, seqs.dy, K, rows_of_outputs(plan), t0, n,
        mask_of(plan, t0) if plan.net.every_step else NULL, plan.block.out, K * plan.lanes,
    )
    for i in range(n * K):
        for lane in range(plan.lanes):
            if plan.block.reads[lane] == 0:
                plan.block.out[i * plan.lanes + lane] = 0


cdef double count_targets(
    const Network* net, const Sequences* seqs, Py_ssize_t first, Py_ssize_t count,
) noexcept nogil:
    """What the sum of the losses of sequences first .. first + count is divided by: how many
    targets count, or the sum of their weights."""
    cdef Py_ssize_t i, s, t, start, length
    cdef double counted = 0
    for i in range(first, first + count):
        s = seqs.order[i] if seqs.order != NULL else i
        if not net.every_step:
            counted += weight_of_row(net, seqs, s)
            continue
        start = seqs.start[s] if seqs.start != NULL else s * seqs.time
        length = seqs.length[s] if seqs.length != NULL else seqs.time
        if seqs.mask == NULL and seqs.classes == NULL and seqs.target_weight == NULL:
            counted += length
            continue
        for t in range(start, start + length):
            if seqs.mask == NULL or seqs.mask[t] != 0:
                counted += weight_of_row(net, seqs, t)
    return counted if seqs.target_weight != NULL else counted * target_width(net)


cdef inline double weight_of_row(
    const Network* net, const Sequences* seqs, Py_ssize_t row,
) noexcept nogil:
    """The sum of the weights of the targets in a row that counts; without weights, whether there
    is a target at all."""
    cdef Py_ssize_t W = target_width(net), k
    cdef double total = 0
    if seqs.classes != NULL and seqs.classes[row] < 0:
        return 0
    if seqs.target_weight == NULL:
        return 1
    for k in range(W):
        total += seqs.target_weight[row * W + k]
    return total
