# Truncated BPTT: the steps of a sequence that count are divided into windows of `truncate` steps,
# counted from the last step of the layer's way through time, and no gradient leaves its window.
# The state before the first step belongs to the window of the first step: where a sequence has no
# more than `truncate` steps there is one window, and the gradient is the whole one.


cdef void count_before(const Plan* plan) noexcept nogil:
    """counted[t, lane]: how many steps before t count, where some in between do not."""
    cdef Py_ssize_t t, lane, L = plan.lanes
    for lane in range(L):
        plan.block.counted[lane] = 0
    for t in range(plan.block.time):
        for lane in range(L):
            plan.block.counted[(t + 1) * L + lane] = (
                plan.block.counted[t * L + lane] + (plan.block.mask[t * L + lane] > 0)
            )


cdef inline Py_ssize_t window(
    const Plan* plan, const Layer* layer, Py_ssize_t lane, Py_ssize_t t,
) noexcept nogil:
    """The truncation window of step t of a lane: how many of them lie between it and the end of
    the layer's way.  t may lie before the way's first step, where initial states come from, and
    is then in the first step's window; and a step that does not count may be asked for too."""
    cdef Py_ssize_t steps = plan.block.length[lane]
    cdef Py_ssize_t later = t if layer.reverse else steps - 1 - t   # steps that come after it
    cdef const int32_t* counted = plan.block.counted + lane
    if plan.masked:
        steps = counted[plan.block.time * plan.lanes]
        if layer.reverse:
            later = counted[min(t, plan.block.time) * plan.lanes]
        else:
            later = steps - counted[max(t + 1, 0) * plan.lanes]
    return max(0, min(later, steps - 1)) // plan.truncate


cdef void truncate_after(const Plan* plan, const Layer* layer, Py_ssize_t t) noexcept nogil:
    """After step t, backwards: no gradient remains where the next step is in another window."""
    cdef Py_ssize_t lane, i, further = t + 1 if layer.reverse else t - 1
    if plan.units_in_lanes:
        if window(plan, layer, 0, t) != window(plan, layer, 0, further):
            memset(layer.dh, 0, plan.h_size * sizeof(real))
            memset(layer.dc, 0, plan.h_size * sizeof(real))
        return
    for lane in range(plan.lanes):
        if window(plan, layer, lane, t) != window(plan, layer, lane, further):
            for i in range(plan.net.hidden):
                layer.dh[i * plan.lanes + lane] = 0
                layer.dc[i * plan.lanes + lane] = 0
