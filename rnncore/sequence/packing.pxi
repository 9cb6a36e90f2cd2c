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
        memset(plan.no_bias, 0, most * sizeof(real))


cdef void pack_layer(const Plan* plan, const Layer* layer, Py_ssize_t slopes) noexcept nogil:
    """slopes: of how many inputs dL/dx is wanted."""
    cdef const Network* net = &plan.net
    cdef const real* w_ih = plan.parameters + layer.weight_ih
    cdef const real* w_hh = plan.parameters + layer.weight_hh
    cdef const real* w_skip = plan.parameters + layer.weight_skip
    cdef Py_ssize_t H = net.hidden, D = layer.inputs, V = plan.vectors, rows = layer.input_rows
    cdef Py_ssize_t shared = net.cell.shared * H, apart = net.cell.apart * H, n = shared + apart
    if rows:
        pack(layer.step_weight, layer.rows, 0, V, w_ih, shared, D, D, 1)
        pack(layer.apart_input_weight, D, 0, V, w_ih + shared * D, apart, D, D, 1)
    pack(layer.step_weight, layer.rows, rows, V, w_hh, shared, H, H, 1)
    pack(layer.apart_state_weight, H, 0, V, w_hh + shared * H, apart, H, H, 1)
    if net.skip:
        pack(layer.step_weight, layer.rows, rows + H, V, w_skip, H, H, H, 1)
    pack_bias(
        net, layer.step_bias, plan.parameters + layer.bias_ih, plan.parameters + layer.bias_hh, H
    )
    if not plan.backward:
        return
    pack(layer.back_weight, n, 0, V, w_hh, H, n, 1, H)
    if net.skip:
        pack(layer.skip_back_weight, H, 0, V, w_skip, H, H, 1, H)
    if slopes:  # in the order of a_t
        pack(layer.input_back_weight, n, 0, V, w_ih + shared * D, D, apart, 1, D)
        pack(layer.input_back_weight, n, apart, V, w_ih, D, shared, 1, D)


cdef void pack_head(const Plan* plan) noexcept nogil:
    cdef Py_ssize_t H = plan.net.hidden, K = plan.net.outputs, wide = plan.net.directions * H, i
    cdef const Layer* layer
    cdef const real* columns
    for i in range(plan.net.directions):
        layer = &top_layer(plan)[i]
        columns = plan.parameters + layer.head_weight
        pack(layer.head_columns, H, 0, plan.vectors, columns, K, H, wide, 1)
        if plan.backward:
            pack(layer.head_back_weight, K, 0, plan.vectors, columns, H, K, 1, wide)
    for i in range(K):
        plan.head_bias[i] = plan.parameters[plan.net.head_bias + i] if plan.net.has_bias else 0
