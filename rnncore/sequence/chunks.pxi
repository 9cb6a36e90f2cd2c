# One long sequence of one unit: chunks of its time side by side in the lanes.
#
# Step after step, a single sequence would use one lane, and wait for the latency of the
# nonlinearity at every step.  Here a segment of it is cut into one chunk of time per lane.
# The state in which a chunk starts is the one in which the chunk before ends, which is
# not known yet: so all chunks are run from a guess, then again from the ends of that run,
# until every start has the bits of the end before it.  Then the chunks are, bit for bit,
# what step after step would have given.  A network that forgets its past within a chunk
# needs two runs.  Every run settles one chunk more, so there are never more than lanes,
# and these take no longer than the steps would have taken one after another.
#
# Backwards there is no guessing: dL/dh is a linear recurrence, cheap enough to be followed
# from chunk to chunk in order.


cdef inline Py_ssize_t chunk_slot(const Plan* plan, Py_ssize_t segment) noexcept nogil:
    """The first slot of a segment: each has one more than steps, for its chunks' starts."""
    return segment * (plan.segment + 1)


cdef Py_ssize_t open_chunks(
    Plan* plan, const Sequences* seqs, Py_ssize_t sequence, Py_ssize_t segment,
) noexcept nogil:
    """Put the chunks of one segment of a sequence into the lanes; the steps of the longest.

    To the loops over time they are sequences whose rows start there, and whose steps are
    counted from the segment's slot.  All are the same sequence to what is delivered at the
    end, lane after lane, so that the last lane's, the last chunk's, remains.
    """
    cdef Py_ssize_t begin = segment * plan.segment * plan.lanes, lane, row
    cdef Py_ssize_t left = min(plan.segment * plan.lanes, seqs.time - begin)
    cdef Py_ssize_t steps = (left + plan.lanes - 1) // plan.lanes
    cdef Py_ssize_t full = left - (steps - 1) * plan.lanes   # chunks of so many steps
    cdef Py_ssize_t t0 = chunk_slot(plan, segment)
    row = (seqs.start[sequence] if seqs.start != NULL else sequence * seqs.time) + begin
    plan.block.used = plan.lanes
    plan.block.masked_from = t0 + steps if full == plan.lanes else t0 + steps - 1
    for lane in range(plan.lanes):
        plan.block.reads[lane] = plan.net.every_step or lane == plan.lanes - 1
        plan.block.sequence[lane] = sequence
        plan.block.start[lane] = row - t0
        plan.block.length[lane] = t0 + (steps if lane < full else steps - 1)
        row += plan.block.length[lane] - t0
    return steps


cdef bint chunks_join(const Plan* plan, Py_ssize_t t0, Py_ssize_t n) noexcept nogil:
    """Whether each chunk started where the one before ended; now it does."""
    cdef const Layer* layer = &plan.layers[0]
    cdef real* start = state(plan, layer, tape_index(plan, t0))
    cdef const real* end = state(plan, layer, tape_index(plan, t0) + n)
    cdef Py_ssize_t lane
    cdef real previous
    cdef bint joined = True
    for lane in range(1, plan.lanes):
        previous = end[lane - 1] if plan.block.length[lane - 1] > t0 else start[lane - 1]
        if memcmp(&start[lane], &previous, sizeof(real)) != 0:
            joined = False
            start[lane] = previous
    return joined


cdef real forward_chunks(
    Plan* plan, const Sequences* seqs, Py_ssize_t segment, Py_ssize_t n, real h,
) noexcept nogil:
    """The steps of a segment, from state h; the state after them."""
    cdef Py_ssize_t t0 = chunk_slot(plan, segment), lane
    cdef const Layer* layer = &plan.layers[0]
    cdef real* start = state(plan, layer, tape_index(plan, t0))
    for lane in range(plan.lanes):
        start[lane] = h
    fill_mask(plan, seqs, t0, n)
    gather_inputs(plan, layer, seqs, t0, n)
    forward_steps(plan, layer, t0, n)
    while not chunks_join(plan, t0, n):
        forward_steps(plan, layer, t0, n)
    return state(plan, layer, tape_index(plan, t0) + n)[plan.lanes - 1]


cdef inline real out_onto(
    const Plan* plan, Py_ssize_t t, Py_ssize_t lane, real dh,
) noexcept nogil:
    """`out_to_state` of one lane."""
    cdef Py_ssize_t K = plan.net.outputs, L = plan.lanes, k
    cdef const real* w = plan.layers[0].head_back_weight
    for k in range(K):
        dh = real_fma(
            w[k * LANES] if plan.net.has_head else 1, plan.block.out[t * K * L + k * L + lane], dh
        )
    return dh


cdef real chunks_back(Plan* plan, Py_ssize_t t0, Py_ssize_t n, real dh) noexcept nogil:
    """`steps_back` from chunk to chunk: dL/dh from after the segment to before it."""
    cdef Py_ssize_t L = plan.lanes, lane, t, at
    cdef const Layer* layer = &plan.layers[0]
    cdef const real* slope = saved_at(plan, layer, t0)
    cdef real w_h = layer.back_weight[0]
    for lane in range(L - 1, -1, -1):
        for t in range(n - 1, -1, -1):
            at = t * L + lane
            if t0 + t >= plan.block.length[lane]:
                plan.block.da[at] = 0
                continue
            if plan.net.every_step and not plan.net.before:
                dh = out_onto(plan, t, lane, dh)
            plan.block.da[at] = slope[at] * dh
            dh = w_h * plan.block.da[at] + 0
            if plan.net.before:
                dh = out_onto(plan, t, lane, dh)
    return dh


cdef void work_in_chunks(
    Plan* plan, const Sequences* seqs, Py_ssize_t sequence, real* grad,
) noexcept nogil:
    """`forward_block` and `backward_block` for one sequence."""
    cdef Py_ssize_t span = plan.segment * plan.lanes, segment, last = (seqs.time - 1) // span
    cdef Py_ssize_t n = 0, t0 = 0
    cdef Layer* layer = &plan.layers[0]
    cdef real h = 0, dh = 0
    if seqs.h0 != NULL:
        h = seqs.h0[sequence]
    elif plan.net.has_start:
        h = plan.parameters[layer.h0]
    if h - h != 0:
        plan.result.faults |= BAD_INPUT
    for segment in range(last + 1):
        n = open_chunks(plan, seqs, sequence, segment)
        h = forward_chunks(plan, seqs, segment, n, h)
        deliver_steps(plan, seqs, chunk_slot(plan, segment), n)
    t0 = chunk_slot(plan, last)
    deliver_last(plan, seqs, tape_index(plan, t0) + n - 1)
    if not plan.backward:
        return
    if not plan.net.every_step:
        begin_gradients(plan, seqs, layer)
        output_gradients_of_last(plan, seqs, grad, t0 + n - 1)
        dh = layer.dh[plan.lanes - 1]
    for segment in range(last, -1, -1):
        t0 = chunk_slot(plan, segment)
        n = open_chunks(plan, seqs, sequence, segment)
        if plan.net.every_step:
            output_gradients(plan, seqs, grad, t0, n)
        dh = chunks_back(plan, t0, n, dh)
        step_gradient(plan, layer, grad, t0, n)
        gradients_to_lower(plan, seqs, layer, t0, n)
    if seqs.dh0 != NULL:
        seqs.dh0[sequence] = dh
    if plan.net.has_start and seqs.h0 == NULL:
        grad[layer.h0] += dh
