# Gradients of weights that are not summed in vectors of their own: where a row of dW is too short
# for that, and of tokens.


cdef void narrow_gradient(
    const Plan* plan, const Layer* layer, real* grad, const real* u, const real* g, Py_ssize_t n,
) noexcept nogil:
    """dL/dW of the segment where a row of it is too short for vectors of its own, and that of the
    b_hh of tokens."""
    cdef Py_ssize_t H = plan.net.hidden, D = layer.inputs, width = plan.a_size
    cdef Py_ssize_t step = layer.slot_size, gate = 0, n_gates = plan.net.cell.shared
    cdef Py_ssize_t h_step = step, k
    cdef const real* h = u + layer.x_size
    cdef const real* da
    while gate < plan.net.gates:   # first those whose products are added, then the others
        da = plan.block.da + state_block(&plan.net.cell, gate) * H * plan.lanes
        for k in range(matrices(&plan.net)):
            add_outer_sum(
                plan, n, grad, layer.weight_hh + (k * plan.net.gates + gate) * H * H, H,
                n_gates * H, H, da, width, h + k * plan.h_size, h_step,
            )
        if plan.net.switching and plan.net.has_bias:
            add_outer_sum(
                plan, n, grad, layer.bias_hh + gate * H, plan.net.gates * H, D, n_gates * H, u,
                step, da, width,
            )
        if not layer.tokens:
            add_outer_sum(
                plan, n, grad, layer.weight_ih + gate * H * D, D, n_gates * H, D,
                plan.block.da + input_block(&plan.net.cell, gate) * H * plan.lanes, width, u, step,
            )
        gate += n_gates
        n_gates = plan.net.cell.apart
        if plan.net.cell.gate != NULL:
            h, h_step = g, plan.saved_size
    if plan.net.skip:
        add_outer_sum(
            plan, n, grad, layer.weight_skip, H, H, H, plan.block.da, width,
            h + plan.h_size, step,
        )


cdef void token_gradient(
    const Plan* plan, const Layer* layer, real* grad, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """dL/dW_ih: with one-hot x_t, dL/da_t goes to one column."""
    cdef Py_ssize_t H = plan.net.hidden, i, t, lane, given = plan.weights.given
    cdef const int32_t* token = plan.block.token + tape_index(plan, t0) * plan.lanes
    cdef const real* da
    cdef real* row = entry(plan, grad, layer.weight_ih)
    cdef real* at
    for i in range(plan.net.gates * H):
        da = plan.block.da + (input_block(&plan.net.cell, i // H) * H + i % H) * plan.lanes
        da += LANES * plan.dual
        for t in range(n):
            for lane in range(plan.block.used):
                at = row + token[t * plan.lanes + lane] * given
                at[lane % given] += da[t * plan.a_size + lane]
        row += plan.net.inputs * given
