# Which sequences are in the lanes of a block, and which of their steps count.


cdef inline Py_ssize_t sequence_of_model(
    const Plan* plan, Py_ssize_t model, Py_ssize_t i,
) noexcept nogil:
    """The i-th sequence of a model's minibatch. Where it has not so many one that it has, and where
    it has none at all another model's."""
    cdef Py_ssize_t models = plan.groups * LANES, other
    if i < plan.job.counts[model]:
        return plan.job.sequences[model][i]
    for other in range(models):
        if plan.job.counts[(model + other) % models] > 0:
            return plan.job.sequences[(model + other) % models][0]
    return 0


cdef void open_block(
    Plan* plan, const Sequences* seqs, Py_ssize_t first, Py_ssize_t used,
) noexcept nogil:
    """Put sequences first .. first + used of the call's order into the lanes.

    Lanes left over repeat the first sequence: what its numbers do (overflow, say)
    theirs do too, and no gradient ever enters them.  Of dual numbers the second vector's lanes
    repeat the first's.
    """
    cdef Py_ssize_t lane, s, length, own, model = 0, nth = first
    plan.block.used = plan.lanes if plan.models_in_lanes else used
    plan.block.time = 0
    plan.block.masked_from = seqs.time
    plan.block.first = first
    for lane in range(plan.lanes):
        plan.block.reads[lane] = lane < used
        if plan.models_in_lanes:
            s = sequence_of_model(plan, model, nth)
            plan.block.reads[lane] = nth < plan.job.counts[model]
            model += 1
            if model == plan.groups * LANES:   # the next sequence of each
                model, nth = 0, nth + 1
        else:
            own = lane % LANES if plan.dual else lane
            s = first + (own if own < used else 0)
            if seqs.order != NULL:
                s = seqs.order[s]
        length = seqs.length[s] if seqs.length != NULL else seqs.time
        plan.block.sequence[lane] = s
        plan.block.start[lane] = seqs.start[s] if seqs.start != NULL else s * seqs.time
        plan.block.length[lane] = length
        plan.block.time = max(plan.block.time, length)
        plan.block.masked_from = min(plan.block.masked_from, length)
    plan.block.shared = plan.models_in_lanes
    if plan.models_in_lanes:
        for lane in range(plan.lanes):
            if plan.block.sequence[lane] != plan.block.sequence[lane - lane % LANES]:
                plan.block.shared = False
    if seqs.mask != NULL:
        plan.block.masked_from = 0
    if plan.units_in_lanes and seqs.x != NULL:
        plan.block.x = seqs.x + plan.block.start[0] * plan.net.inputs
    elif plan.units_in_lanes:
        plan.block.tokens = seqs.tokens + plan.block.start[0]


cdef void fill_mask(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """mask[t, lane] = 1 where step t of the lane's sequence counts, else 0."""
    cdef Py_ssize_t t, lane
    cdef real* mask = plan.block.mask + tape_index(plan, t0) * plan.lanes
    for t in range(t0, t0 + n):
        for lane in range(plan.lanes):
            mask[lane] = t < plan.block.length[lane] and (
                seqs.mask == NULL or seqs.mask[plan.block.start[lane] + t] != 0
            )
        mask += plan.lanes
