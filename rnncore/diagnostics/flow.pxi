# Where a gradient comes from: what the tape and the trace of gradients say of it.

cdef double SMALL = 1e-140, LARGE = 1e140, SCALE = 1e180


cdef void add_squares(const Plan* plan, double* sums) noexcept nogil:
    """|dL/dh|^2 of the block's states, with |dL/dc|^2 where there is a c, onto sums (passes, T + 1,
    3) of every slot; see `add_square`."""
    cdef Py_ssize_t states = (1 + plan.net.cell.memory) * plan.net.hidden, which, slot, i, lane
    cdef const real* gradient
    cdef double* sum
    cdef double total
    for which in range(plan.passes):
        for slot in range(plan.block.time + 1):
            gradient = plan.layers[which].trace + slot * states * plan.lanes
            sum = sums + (which * (plan.block.time + 1) + slot) * 3
            total = squares(gradient, plan.net.hidden * plan.vectors)
            if plan.net.cell.memory:
                total += squares(gradient + plan.net.hidden * plan.lanes,
                                 plan.net.hidden * plan.vectors)
            if SMALL < total < LARGE:  # lanes without a sequence have zeros
                sum[1] += total
                continue
            for i in range(states):
                for lane in range(plan.block.used):
                    add_square(sum, gradient[i * plan.lanes + lane])


cdef inline double squares(const real* numbers, Py_ssize_t vectors) noexcept nogil:
    cdef vreal sum = vset1(0), d
    cdef Py_ssize_t i
    for i in range(vectors):
        d = vload(numbers + i * LANES)
        sum = vfma(d, d, sum)
    return vsum(sum)


cdef inline void add_square(double* sums, double d) noexcept nogil:
    """d^2 onto one of three sums, of the small, the usual and the large, which are scaled so that
    no square underflows or overflows (Blue 1978)."""
    if -SMALL < d < SMALL:
        d *= SCALE
        sums[0] += d * d
    elif -LARGE < d < LARGE:
        sums[1] += d * d
    else:
        d /= SCALE
        sums[2] += d * d


cdef void jacobians_of(
    const Plan* plan, const Layer* layer, Py_ssize_t n, real* out, real* out_skip,
) noexcept nogil:
    """Row by row: a step backwards from each unit of the state."""
    cdef Py_ssize_t H = plan.net.hidden, L = plan.lanes, S = H, t, i, j, lane
    cdef const real* mask
    cdef real* row
    if plan.net.cell.memory:
        S = 2 * H
    for t in range(n):
        mask = plan.block.mask + t * L if plan.masked else NULL
        for i in range(S):
            memset(layer.dh, 0, H * L * sizeof(real))
            memset(layer.dc, 0, H * L * sizeof(real))
            for lane in range(L):
                (layer.dh if i < H else layer.dc)[i % H * L + lane] = 1
            if plan.net.skip:
                memset(skip_dh_at(plan, layer, after(layer, t)), 0, H * L * sizeof(real))
            cell_back(plan.noisy, plan, layer, t, t, plan.block.da, mask)
            for lane in range(plan.block.used):
                row = out + ((t * plan.block.used + lane) * S + i) * S
                for j in range(S):
                    row[j] = (layer.dh if j < H else layer.dc)[j % H * L + lane]
            if out_skip != NULL:
                skip_row(plan, layer, t, i, out_skip)


cdef void skip_row(
    const Plan* plan, const Layer* layer, Py_ssize_t t, Py_ssize_t i, real* out,
) noexcept nogil:
    """W_skip^T dL/da_t, where the step has left it."""
    cdef Py_ssize_t H = plan.net.hidden, L = plan.lanes, lane, j, slot
    cdef bint counted
    for lane in range(plan.block.used):
        slot = layer.origin[t * L + lane] if plan.ragged else origin_of(plan, layer, t)
        counted = not plan.ragged or plan.block.mask[t * L + lane] > 0
        for j in range(H):
            out[((t * plan.block.used + lane) * H + i) * H + j] = (
                skip_dh_at(plan, layer, slot)[j * L + lane] if counted else 0
            )
