# Truncated: the steps of a sequence that count are cut into pieces of k, counted from the last of
# the layer's way, and no slope leaves a piece.


cdef void count_before(const Plan* plan) noexcept nogil:
    """counted[t, lane]: how many steps before t count, where some in between do not."""
    cdef Py_ssize_t t, lane, L = plan.lanes
    for lane in range(L):
        plan.counted[lane] = 0
    for t in range(plan.time):
        for lane in range(L):
            plan.counted[(t + 1) * L + lane] = (
                plan.counted[t * L + lane] + (plan.hold[t * L + lane] > 0)
            )


cdef inline Py_ssize_t piece(
    const Plan* plan, const Layer* layer, Py_ssize_t lane, Py_ssize_t t,
) noexcept nogil:
    """Which piece of a lane's sequence step t is in."""
    cdef Py_ssize_t steps
    if plan.masked:
        steps = plan.counted[t * plan.lanes + lane] if layer.reverse else (
            plan.counted[plan.time * plan.lanes + lane]
            - plan.counted[(t + 1) * plan.lanes + lane]
        )
        return steps // plan.truncate
    return max(0, t if layer.reverse else plan.length[lane] - 1 - t) // plan.truncate


cdef void cut(const Plan* plan, const Layer* layer, Py_ssize_t t) noexcept nogil:
    """After step t, backwards: no slope remains where the next step is in another piece."""
    cdef Py_ssize_t lane, i, further = t + 1 if layer.reverse else t - 1
    for lane in range(plan.lanes):
        if piece(plan, layer, lane, t) != piece(plan, layer, lane, further):
            for i in range(plan.net.hidden):
                layer.dh[i * plan.lanes + lane] = 0
                layer.dc[i * plan.lanes + lane] = 0
