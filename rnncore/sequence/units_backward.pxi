# A block of one sequence with its units in lanes: backwards, see units_forward.pxi.


cdef void units_back(const Plan* plan, const Layer* layer, const real* da) noexcept nogil:
    """dL/dh_{t-1} = W_hh^T dL/da_t onto what reaches h_{t-1} directly, gate by gate."""
    cdef Py_ssize_t H = plan.net.hidden, P = plan.h_size, gate
    cdef const real* w = layer.back_weight
    da += plan.net.cell.apart * P
    for gate in range(gates_of_state(&plan.net.cell)):
        product(
            layer.dh, 0, H, w, plan.no_bias, da, 0, H, 1, plan.net.cell.carries or gate > 0
        )
        da += P
        w += H * P


cdef void units_gate_back(
    const Plan* plan, const Layer* layer, const real* da, real* dg,
) noexcept nogil:
    """dL/dg_t = W_hh^T dL/da_t of the gates that a gated state enters."""
    cdef Py_ssize_t H = plan.net.hidden, P = plan.h_size, gate
    cdef const real* w = layer.back_weight + gates_of_state(&plan.net.cell) * H * P
    for gate in range(plan.net.cell.apart):
        product(dg, 0, H, w, plan.no_bias, da, 0, H, 1, gate > 0)
        da += P
        w += H * P


cdef void out_to_units(
    const Plan* plan, const Layer* layer, real* dh, Py_ssize_t t,
) noexcept nogil:
    """dL/dh_t += W_y^T dL/dy_t, for the t-th row of dL/dlogits"""
    cdef Py_ssize_t H = plan.net.hidden, K = plan.net.outputs, i
    cdef const real* dy = plan.block.out_rows + t * padded(K)
    if plan.net.has_head:
        product(dh, 0, H, layer.head_back_weight, NULL, dy, 0, K, 1, True)
        return
    dy += H if layer.reverse else 0
    for i in range(H):
        dh[i] += dy[i]


cdef void units_head_gradient(
    const Plan* plan, real* grad, Py_ssize_t first, Py_ssize_t n,
) noexcept nogil:
    """dL/dW_y into `grad_head`, dL/db_y to where it belongs."""
    cdef Py_ssize_t K = plan.net.outputs, P = plan.h_size, d, t, k
    cdef const real* dy = plan.block.out_rows
    cdef const Layer* layer
    cdef real sum
    for d in range(plan.net.directions):
        layer = &top_layer(plan)[d]
        contract(
            n, n, 1, 1, layer.grad_head, P, P, K, dy, padded(K),
            state(plan, layer, after(layer, index_read(plan, layer, first))),
        )
    if plan.net.has_head_bias:
        for k in range(K):
            sum = 0
            for t in range(n):
                sum += dy[t * padded(K) + k]
            grad[plan.net.head_bias + k] += sum


cdef void units_gradient(
    const Plan* plan, const Layer* layer, real* grad, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """dL/dW = sum_t dL/da_t [x_t ; h_{t-1}]^T and dL/db = sum_t dL/da_t over the segment."""
    cdef Py_ssize_t P = plan.h_size, W = plan.a_size, part, t, i, x_step = 0
    cdef Py_ssize_t entered = plan.net.gates * P, apart = plan.net.cell.apart * P
    cdef Py_ssize_t met = gates_of_state(&plan.net.cell) * P
    cdef Py_ssize_t parts = parts_of_x(plan, layer), n_in = layer.inputs // parts
    # Steps summed in one go, as with sequences in lanes.
    cdef Py_ssize_t chunk = CHUNK // LANES if plan.width else n
    cdef const real* da = plan.block.da
    cdef const real* x
    cdef real* sums = layer.grad_rows
    cdef vreal sum
    if layer.tokens:
        units_token_gradient(plan, layer, grad, t0, n)
    else:
        for part in range(parts):
            x = inputs_of_units(plan, layer, part, t0, &x_step)
            contract(chunk, n, 1, 1, sums, W, entered, n_in, x, x_step, da)
            sums += n_in * W
    contract(
        chunk, n, 1, 1, sums + apart, W, met, plan.net.hidden,
        state(plan, layer, before(layer, tape_index(plan, t0))), layer.slot_size, da + apart,
    )
    contract(
        chunk, n, 1, 1, sums + entered, W, entered - met, plan.net.hidden,
        saved_state(plan, layer, tape_index(plan, t0)), plan.saved_size, da + entered,
    )
    if not plan.net.has_bias:
        return
    for i in range(W // LANES):
        sum = vset1(0)
        for t in range(n):
            sum = vadd(sum, vload(da + t * W + i * LANES))
        vstore(layer.grad_bias + i * LANES, vadd(vload(layer.grad_bias + i * LANES), sum))


cdef void units_token_gradient(
    const Plan* plan, const Layer* layer, real* grad, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """dL/dW_ih: with one-hot x_t, dL/da_t goes to one column."""
    cdef Py_ssize_t H = plan.net.hidden, D = plan.net.inputs, gate, i, t
    cdef const real* da
    cdef real* column
    cdef int64_t token
    for t in range(n):
        token = plan.block.tokens[t0 + t]
        if not 0 <= token < D:
            token = 0
        column = grad + layer.weight_ih + token
        for gate in range(plan.net.gates):
            da = plan.block.da + t * plan.a_size + input_block(&plan.net.cell, gate) * plan.h_size
            for i in range(H):
                column[(gate * H + i) * D] += da[i]


cdef void units_input_gradients(
    const Plan* plan, const Layer* layer, real* grad_in, Py_ssize_t n,
) noexcept nogil:
    """dL/dx_t = W_ih^T dL/da_t of n steps, part by part and gate by gate in the order of a_t; of
    two directions the sum."""
    cdef Py_ssize_t H = plan.net.hidden, parts = parts_of_x(plan, layer), part, block
    cdef Py_ssize_t n_out = layer.inputs // parts
    cdef bint onto = plan.net.directions == 2 and not layer.reverse
    cdef const real* w = layer.input_back_weight
    for part in range(parts):
        for block in range(plan.net.gates):
            product(
                grad_in, layer.grad_size, n_out, w, plan.no_bias,
                plan.block.da + block * plan.h_size, plan.a_size, H, n, onto or block > 0,
            )
            w += H * padded(n_out)
        grad_in += plan.h_size
