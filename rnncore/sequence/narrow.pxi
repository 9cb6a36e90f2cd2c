# Gradients of weights that are not summed in vectors of their own: where a row of dW is too short
# for that, and of tokens.


cdef void narrow_gradient(
    const Plan* plan, const Layer* layer, real* grad, const real* u, const real* g, Py_ssize_t n,
) noexcept nogil:
    """dL/dW and dL/db of the segment where a row of dW is too short for vectors of its own."""
    cdef Py_ssize_t H = plan.net.hidden, D = layer.input_rows
    cdef Py_ssize_t shared = plan.net.cell.shared, width = plan.a_size, step = layer.slot_size
    cdef Py_ssize_t apart = plan.net.cell.apart * H
    cdef const real* h = u + layer.x_size
    cdef Entries to = entries(plan, grad, layer.weight_ih, D, D)
    to.right, to.right_stride = layer.weight_hh, H
    to.ones = plan.net.has_bias
    # The gates whose products are added meet [x_t ; h_{t-1}].
    to.bias = layer.grad_bias + apart * plan.weights.given
    add_outer_sum(
        plan, n, to, shared * H, D + H, plan.block.da + apart * plan.lanes, width, u, step
    )
    other_matrices(plan, layer, grad, 0, shared, u, n)
    if plan.net.skip:
        add_outer_sum(
            plan, n, entries(plan, grad, layer.weight_skip, H, H), H, H, plan.block.da, width,
            h + plan.h_size, step,
        )
    if not apart:
        return
    # Of the others x_t enters the first rows, h_{t-1} or the gated state the last ones.
    to.bias = layer.grad_bias
    to.left += shared * H * D
    add_outer_sum(plan, n, to, apart, D, plan.block.da, width, u, step)
    to.bias = layer.grad_bias + (shared * H + apart) * plan.weights.given
    to.right += shared * H * H
    to.split = 0
    if plan.net.cell.gate != NULL:
        h, step = g, plan.saved_size
    add_outer_sum(
        plan, n, to, apart, H, plan.block.da + (shared * H + apart) * plan.lanes, width, h, step
    )
    other_matrices(plan, layer, grad, shared, plan.net.cell.apart, u, n)


cdef void other_matrices(
    const Plan* plan, const Layer* layer, real* grad, Py_ssize_t gate, Py_ssize_t gates,
    const real* u, Py_ssize_t n,
) noexcept nogil:
    """Of a switching network some gates' gradients of all W_hh but the first, and of b_hh."""
    cdef Py_ssize_t H = plan.net.hidden, k
    cdef const real* da = plan.block.da + state_block(&plan.net.cell, gate) * H * plan.lanes
    for k in range(1, matrices(&plan.net)):
        add_outer_sum(
            plan, n,
            entries(plan, grad, layer.weight_hh + (k * plan.net.gates + gate) * H * H, H, H),
            gates * H, H, da, plan.a_size, u + layer.x_size + k * plan.h_size, layer.slot_size,
        )
    if plan.net.switching and plan.net.has_bias:
        add_outer_sum(
            plan, n,
            entries(plan, grad, layer.bias_hh + gate * H, plan.net.gates * H, gates * H),
            layer.inputs, gates * H, u, layer.slot_size, da, plan.a_size,
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
