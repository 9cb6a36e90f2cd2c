# Weights in the order in which the products read them, once for a whole call.


cdef void pack_weights(Plan* plan) noexcept nogil:
    cdef Py_ssize_t i, D, most = plan.net.hidden
    if plan.units_in_lanes:
        pack_for_units(plan)
        return
    for i in range(plan.passes):
        D = plan.layers[i].inputs if plan.want_dx or plan.layers[i].number > 0 else 0
        pack_layer(plan, &plan.layers[i], D)
        most = max(most, D)
    if plan.net.has_head:
        pack_head(plan)
    if plan.backward:
        memset(plan.no_bias, 0, most * plan.weights.packed * sizeof(real))


cdef void pack_layer(const Plan* plan, const Layer* layer, Py_ssize_t slopes) noexcept nogil:
    """slopes: of how many inputs dL/dx is wanted."""
    cdef const Network* net = &plan.net
    cdef const real* w_ih = parameter(plan, layer.weight_ih)
    cdef const real* w_hh = parameter(plan, layer.weight_hh)
    cdef const real* w_skip = parameter(plan, layer.weight_skip)
    cdef const real* b_hh = parameter(plan, layer.bias_hh)
    cdef Py_ssize_t H = net.hidden, D = layer.inputs, V = plan.vectors, rows = layer.input_rows
    cdef Py_ssize_t shared = net.cell.shared * H, apart = net.cell.apart * H, n = shared + apart
    cdef Py_ssize_t of = plan.weights.given, met = gates_of_state(&net.cell) * H, k
    if rows:
        pack(plan.weights, layer.step_weight, layer.rows, 0, V, w_ih, shared, D, D, 1)
        pack(
            plan.weights, layer.apart_input_weight, D, 0, V, w_ih + shared * D * of, apart, D, D, 1
        )
    if net.switching:
        pack_chosen_bias(plan, layer, b_hh)
    for k in range(matrices(net)):
        pack(
            plan.weights, layer.step_weight, layer.rows, rows + k * H, V, w_hh + k * n * H * of,
            shared, H, H, 1,
        )
        pack(
            plan.weights, layer.apart_state_weight, layer.apart_rows,
            layer.apart_rows - (matrices(net) - k) * H, V, w_hh + (k * n + shared) * H * of, apart,
            H, H, 1,
        )
        if plan.backward:
            pack(
                plan.weights, layer.back_weight + k * H * met * plan.weights.packed, met, 0, V,
                w_hh + k * n * H * of, H, met, 1, H,
            )
    if net.skip:
        pack(plan.weights, layer.step_weight, layer.rows, rows + H, V, w_skip, H, H, H, 1)
    if net.switching:
        b_hh = NULL
    pack_bias(net, plan.weights, layer.step_bias, parameter(plan, layer.bias_ih), b_hh, H)
    if not plan.backward:
        return
    pack(
        plan.weights, layer.gate_back_weight, n - met, 0, V, w_hh + met * H * of, H, n - met, 1, H
    )
    if net.skip:
        pack(plan.weights, layer.skip_back_weight, H, 0, V, w_skip, H, H, 1, H)
    if slopes:  # in the order of a_t
        pack(plan.weights, layer.input_back_weight, n, 0, V, w_ih + shared * D * of, D, apart, 1, D)
        pack(plan.weights, layer.input_back_weight, n, apart, V, w_ih, D, shared, 1, D)


cdef void pack_chosen_bias(const Plan* plan, const Layer* layer, const real* b_hh) noexcept nogil:
    """b_hh (tokens, gates H) as columns that meet one-hot x_t: those of gates whose products are
    added onto W_ih, the others in columns of their own."""
    cdef Py_ssize_t H = plan.net.hidden, D = layer.inputs, n = plan.net.gates * H, i, j
    cdef Py_ssize_t shared = plan.net.cell.shared * H, apart = plan.net.cell.apart * H
    if plan.net.has_bias:
        pack_by(
            True, plan.weights, layer.step_weight, layer.rows, 0, plan.vectors, b_hh, shared, D, 1,
            n,
        )
        pack(
            plan.weights, layer.apart_state_weight, layer.apart_rows, 0, plan.vectors,
            b_hh + shared * plan.weights.given, apart, D, 1, n,
        )
    else:
        memset(
            layer.apart_state_weight, 0,
            apart * layer.apart_rows * plan.weights.packed * sizeof(real),
        )


cdef void pack_head(const Plan* plan) noexcept nogil:
    cdef Py_ssize_t H = plan.net.hidden, K = plan.net.outputs, wide = plan.net.directions * H, i
    cdef const Layer* layer
    cdef const real* columns
    for i in range(plan.net.directions):
        layer = &top_layer(plan)[i]
        columns = parameter(plan, layer.head_weight)
        pack(plan.weights, layer.head_columns, H, 0, plan.vectors, columns, K, H, wide, 1)
        if plan.backward:
            pack(plan.weights, layer.head_back_weight, K, 0, plan.vectors, columns, H, K, 1, wide)
    if plan.net.has_head_bias:
        pack_numbers(
            plan.weights, plan.head_bias, parameter(plan, plan.net.head_bias), K, False
        )
    else:
        memset(plan.head_bias, 0, K * plan.weights.packed * sizeof(real))
