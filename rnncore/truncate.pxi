# Truncated: the steps of a sequence are cut into pieces of k, counted from the last of the
# layer's way, and no slope leaves a piece.


cdef inline Py_ssize_t piece(
    const Plan* plan, const Layer* layer, Py_ssize_t lane, Py_ssize_t t,
) noexcept nogil:
    """Which piece of a lane's sequence step t is in."""
    return max(0, t if layer.reverse else plan.length[lane] - 1 - t) // plan.truncate


cdef void cut(const Plan* plan, const Layer* layer, Py_ssize_t t) noexcept nogil:
    """After step t, backwards: no slope remains where the next step is in another piece."""
    cdef Py_ssize_t lane, i, further = t + 1 if layer.reverse else t - 1
    for lane in range(plan.lanes):
        if piece(plan, layer, lane, t) != piece(plan, layer, lane, further):
            for i in range(plan.net.hidden):
                layer.dh[i * plan.lanes + lane] = 0
                layer.dc[i * plan.lanes + lane] = 0
