# Between the layers of a stack: what one puts out is the next one's input, and dL/dx_t of the
# next is dL/dh_t of the one below.

cdef enum:
    COINS = 4                 # decisions from one random number, of 16 bits each


cdef inline uint64_t coins(uint64_t seed, uint64_t which) noexcept nogil:
    """The `which`-th random number of a seed, independent of the others."""
    seed += which * 0x9E3779B97F4A7C15ULL
    return next_random(&seed)


cdef inline uint64_t number_of(const Plan* plan, Py_ssize_t lane) noexcept nogil:
    """By which dropout knows a lane's sequence: its number in the call, in a population among those
    of its model."""
    cdef Py_ssize_t model = model_of(plan, lane) if plan.models_in_lanes else 0, i
    if plan.job.numbers[model] == NULL:
        return <uint64_t>plan.block.sequence[lane]
    i = plan.block.first
    if plan.models_in_lanes:
        i += lane // (plan.groups * LANES)
    elif lane < plan.block.used:
        i += lane
    return <uint64_t>plan.job.numbers[model][i] if i < plan.job.counts[model] else 0


cdef void drop_out(
    const Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t n, real* rows,
    Py_ssize_t step,
) noexcept nogil:
    """Each of the layer's outputs at steps t0 .. t0 + n, rows (H, lanes) every `step` reals, by 0
    with probability p, else by 1 / (1 - p) (Srivastava et al. 2014); or their gradients, alike.

    What is dropped depends on the seed, the sequence, the step and the unit alone: not on where
    the sequence is, nor on who asks how often.
    """
    cdef Py_ssize_t H = plan.net.hidden, t, lane, i
    cdef uint64_t of_step, draw = 0, least = <uint64_t>(plan.job.dropout * 65536 + 0.5)
    cdef real scale
    if least == 0:
        return
    least = min(least, <uint64_t>65535)
    scale = <real>(65536 / <double>(65536 - least))
    for lane in range(plan.lanes):
        for t in range(n):
            of_step = plan.job.dropout_seed[model_of(plan, lane)]
            of_step = coins(of_step, number_of(plan, lane))
            of_step = coins(coins(of_step, <uint64_t>(t0 + t)), <uint64_t>layer.state_row)
            for i in range(H):
                if i % COINS == 0:
                    draw = coins(of_step, <uint64_t>i)
                if draw & 65535 < least:
                    rows[t * step + i * plan.lanes + lane] = 0
                else:
                    rows[t * step + i * plan.lanes + lane] *= scale
                draw >>= 16


cdef void inherit_inputs(
    const Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """x_t of a layer: the states of the one below, in both directions, after the same steps."""
    cdef Py_ssize_t H = plan.h_size, step = layer.slot_size, d, t
    cdef const Layer* lower = &plan.layers[(layer.number - 1) * plan.net.directions]
    cdef real* x = slot_of(plan, layer, before(layer, tape_index(plan, t0)))
    cdef const real* h
    for d in range(plan.net.directions):
        h = state(plan, &lower[d], after(&lower[d], tape_index(plan, t0)))
        for t in range(n):
            memcpy(x + t * step, h + t * lower.slot_size, H * sizeof(real))
        drop_out(plan, &lower[d], t0, n, x, step)
        x += H


cdef void gradients_to_lower(
    Plan* plan, const Sequences* seqs, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """dL/dx_t of a layer's segment to the layer below or the caller, once all directions are
    summed."""
    cdef Py_ssize_t d
    cdef const Layer* lower
    cdef real* grad_in
    if layer.number == 0 and not plan.want_dx:
        return
    input_gradients(plan, layer, t0, n)
    if layer.reverse:
        return
    grad_in = gradients_at(plan, plan.block.grad_in, layer.grad_size, t0)
    if layer.number == 0 and plan.units_in_lanes:
        copy_rows(
            seqs.dx + (plan.block.start[0] + t0) * layer.inputs, layer.inputs, grad_in,
            layer.grad_size, layer.inputs, n,
        )
        return
    if layer.number == 0:
        scatter_rows(
            plan, grad_in, layer.grad_size, layer.inputs, plan.block.start, t0, n,
            mask_of(plan, t0), seqs.dx,
        )
        return
    for d in range(plan.net.directions):
        lower = &plan.layers[(layer.number - 1) * plan.net.directions + d]
        drop_out(plan, lower, t0, n, grad_in + d * plan.h_size, layer.grad_size)


cdef void swap_gradients(Plan* plan) noexcept nogil:
    """The gradient of a layer's input is that of the output of the layer below."""
    cdef real* grad_in = plan.block.grad_in
    plan.block.grad_in = plan.block.grad_out
    plan.block.grad_out = grad_in
