# The skip connection of an Elman layer: h_{t-s} beside h_{t-1}.
#
# Steps that do not count are as if they were not there: h_{t-s} is the state s counted steps
# before. Without any, it is in the slot s before the step's own; with some, every lane has a
# slot of its own.


cdef void trace_origins(const Plan* plan, const Layer* layer) noexcept nogil:
    """origin[t, lane]: the slot of the state s counted steps before step t; and beyond the
    last step, as if s more came, those of the states that these would need."""
    cdef Py_ssize_t s = plan.net.skip, T = plan.block.time, lane, k, old, begun, t
    cdef Py_ssize_t first = T if layer.reverse else 0, way = -1 if layer.reverse else 1
    for lane in range(plan.lanes):
        begun = 0     # steps that have counted so far
        old = 0       # the one s counted steps before the next
        for k in range(T + s):
            t = T - 1 - k if layer.reverse else k
            if begun < s:
                layer.origin[t * plan.lanes + lane] = <int32_t>(first + way * (begun + 1 - s))
            else:
                while not step_counts(plan, layer, old, lane):
                    old += 1
                layer.origin[t * plan.lanes + lane] = <int32_t>(first + way * (old + 1))
            if k >= T or step_counts(plan, layer, k, lane):
                old += begun >= s
                begun += 1


cdef inline bint step_counts(
    const Plan* plan, const Layer* layer, Py_ssize_t k, Py_ssize_t lane,
) noexcept nogil:
    """Whether the layer's k-th step counts."""
    cdef Py_ssize_t t = plan.block.time - 1 - k if layer.reverse else k
    return plan.block.mask[t * plan.lanes + lane] > 0


cdef inline Py_ssize_t origin_of(
    const Plan* plan, const Layer* layer, Py_ssize_t t,
) noexcept nogil:
    """The slot of h_{t-s} where every step counts."""
    return t + plan.net.skip if layer.reverse else t + 1 - plan.net.skip


cdef void gather_skip(const Plan* plan, const Layer* layer, Py_ssize_t t) noexcept nogil:
    """h_{t-s} to where the step reads it."""
    cdef Py_ssize_t size = plan.net.hidden * plan.lanes
    cdef real* target = slot_of(plan, layer, before(layer, t)) + layer.x_size + size
    if plan.ragged:
        collect(plan, layer, t, target)
    else:
        memcpy(target, state(plan, layer, origin_of(plan, layer, t)), size * sizeof(real))


cdef void collect(
    const Plan* plan, const Layer* layer, Py_ssize_t t, real* target,
) noexcept nogil:
    """h_{t-s} (H, lanes) from where each lane has it."""
    cdef const int32_t* origin = layer.origin + t * plan.lanes
    cdef Py_ssize_t i, lane
    for lane in range(plan.lanes):
        for i in range(plan.net.hidden):
            target[i * plan.lanes + lane] = (
                state(plan, layer, origin[lane])[i * plan.lanes + lane]
            )


cdef void deliver_history(
    const Plan* plan, const Sequences* seqs, const Layer* layer,
) noexcept nogil:
    """The states before the last that the steps to come would need."""
    cdef Py_ssize_t s = plan.net.skip, T = plan.block.time, k
    # No step has come from this slot: the rows that it would have read are free as scratch.
    cdef real* room = slot_of(plan, layer, 0 if layer.reverse else T) + layer.x_size
    room += plan.net.hidden * plan.lanes
    for k in range(1, s):
        if plan.ragged:
            collect(plan, layer, k - s if layer.reverse else T + s - 1 - k, room)
            scatter_state(plan, room, layer.state_row + k, seqs.final)
        else:
            scatter_state(
                plan, state(plan, layer, k if layer.reverse else T - k),
                layer.state_row + k, seqs.final,
            )


cdef inline real* skip_dh_at(const Plan* plan, const Layer* layer, Py_ssize_t slot) noexcept nogil:
    """What reaches the state of a slot over the skip connection."""
    return layer.skip_dh + slot * plan.net.hidden * plan.lanes


cdef inline bint leaves_window(
    const Plan* plan, const Layer* layer, Py_ssize_t lane, Py_ssize_t t, Py_ssize_t slot,
) noexcept nogil:
    """Whether the state in a slot belongs to another truncation window than step t."""
    cdef Py_ssize_t origin = slot if layer.reverse else slot - 1
    return window(plan, layer, lane, t) != window(plan, layer, lane, origin)


cdef void skip_backward(
    const Plan* plan, const Layer* layer, const real* da, Py_ssize_t t,
) noexcept nogil:
    """W_skip^T dL/da_t to where dL/dh_{t-s} will be formed.  No other step leads there."""
    cdef Py_ssize_t H = plan.net.hidden, i, lane
    cdef const int32_t* origin = layer.origin + t * plan.lanes
    cdef const real* mask = plan.block.mask + t * plan.lanes
    cdef real* slopes
    if not plan.ragged:
        slopes = skip_dh_at(plan, layer, origin_of(plan, layer, t))
        weigh(plan, slopes, layer.skip_back_weight, plan.no_bias, da, H, H, False)
        if plan.truncate and leaves_window(plan, layer, 0, t, origin_of(plan, layer, t)):
            memset(slopes, 0, H * plan.lanes * sizeof(real))
        return
    # The state's own slot has received all it ever will: it is free as scratch.
    slopes = skip_dh_at(plan, layer, after(layer, t))
    weigh(plan, slopes, layer.skip_back_weight, plan.no_bias, da, H, H, False)
    for lane in range(plan.lanes):
        if mask[lane] > 0 and not (
            plan.truncate and leaves_window(plan, layer, lane, t, origin[lane])
        ):
            for i in range(H):
                skip_dh_at(plan, layer, origin[lane])[i * plan.lanes + lane] = (
                    slopes[i * plan.lanes + lane]
                )


cdef inline void add_rows(real* sums, const real* rows, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n // LANES):
        vstore(sums + i * LANES, vadd(vload(sums + i * LANES), vload(rows + i * LANES)))
