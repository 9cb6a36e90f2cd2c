# Weights in the order in which the products with units in lanes read them. Each gate's H units are
# a block of whole vectors, P = padded(H) reals.

cdef enum:
    MOST_GATES = 8


cdef inline void pack_inputs_of_units(
    const Network* net, real* packed, const real* w_ih, Py_ssize_t n_in, Py_ssize_t row,
) noexcept nogil:
    """Columns of W_ih (gates H, a row every `row` reals), in the blocks that x_t enters."""
    cdef const real* blocks[MOST_GATES]
    cdef Py_ssize_t gate
    for gate in range(net.gates):
        blocks[input_block(&net.cell, gate)] = w_ih + gate * net.hidden * row
    pack_blocks(packed, blocks, net.gates, net.hidden, n_in, row, 1)


cdef inline void pack_states_of_units(
    const Network* net, real* packed, const real* w_hh,
) noexcept nogil:
    """W_hh (gates H, H), in the blocks that h_{t-1} enters, from the first of them on; after these
    the blocks that a gated state enters."""
    cdef const real* blocks[MOST_GATES]
    cdef Py_ssize_t gate, H = net.hidden, met = gates_of_state(&net.cell)
    for gate in range(net.gates):
        blocks[state_block(&net.cell, gate) - net.cell.apart] = w_hh + gate * H * H
    pack_blocks(packed, blocks, met, H, H, H, 1)
    pack_blocks(packed + met * H * padded(H), blocks + met, net.gates - met, H, H, H, 1)


cdef inline void pack_numbers(
    Weights of, real* packed, const real* numbers, Py_ssize_t n, bint onto,
) noexcept nogil:
    """n numbers of a bias as the products read them; with `onto` they are added."""
    cdef Py_ssize_t i
    cdef int lane
    for i in range(n):
        for lane in range(of.packed):
            if not onto:
                packed[lane] = 0
            packed[lane] += numbers[lane % of.given + lane * of.change]
        packed += of.packed
        numbers += of.given


cdef inline void pack_bias(
    const Network* net, Weights of, real* bias, const real* b_ih, const real* b_hh,
    Py_ssize_t step,
) noexcept nogil:
    """b_ih + b_hh in the order of a_t, or each where its product is kept apart; a gate every `step`
    weights: H, or with units in lanes P.  b_hh is left out where that is NULL."""
    cdef Py_ssize_t gate, H = net.hidden
    memset(bias, 0, blocks_of_a(&net.cell) * step * of.packed * sizeof(real))
    if not net.has_bias:
        return
    for gate in range(net.gates):
        pack_numbers(
            of, bias + input_block(&net.cell, gate) * step * of.packed,
            b_ih + gate * H * of.given, H, True,
        )
        if b_hh != NULL:
            pack_numbers(
                of, bias + state_block(&net.cell, gate) * step * of.packed,
                b_hh + gate * H * of.given, H, True,
            )


cdef inline const real* parameter(const Plan* plan, Py_ssize_t i) noexcept nogil:
    """The i-th parameter; with models in the lanes, that of each."""
    return plan.parameters + i * plan.weights.given


# What a layer's x_t is made of: the caller's numbers, or h_t of the layer below in one direction
# or two, which are not side by side.

cdef inline Py_ssize_t parts_of_x(const Plan* plan, const Layer* layer) noexcept nogil:
    return plan.net.directions if layer.number else 1


cdef void pack_for_units(Plan* plan) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(plan.passes):
        pack_layer_of_units(plan, &plan.layers[i])
    if plan.net.has_head:
        pack_head_of_units(plan)
    if plan.backward:
        memset(plan.no_bias, 0, most_rows(plan) * sizeof(real))


cdef void pack_layer_of_units(const Plan* plan, const Layer* layer) noexcept nogil:
    cdef const Network* net = &plan.net
    cdef const real* w_ih = plan.parameters + layer.weight_ih
    cdef const real* w_hh = plan.parameters + layer.weight_hh
    cdef Py_ssize_t H = net.hidden, P = padded(H), D = layer.inputs, gate, part
    cdef Py_ssize_t parts = parts_of_x(plan, layer), n = D // parts
    cdef real* packed = layer.input_weight
    if not layer.tokens:
        for part in range(parts):
            pack_inputs_of_units(net, packed, w_ih + part * n, n, D)
            packed += n * net.gates * P
    pack_states_of_units(net, layer.state_weight, w_hh)
    pack_bias(
        net, plan.weights, layer.step_bias, parameter(plan, layer.bias_ih),
        parameter(plan, layer.bias_hh), P,
    )
    if not plan.backward:
        return
    for gate in range(net.gates):
        pack_units(layer.back_weight + gate * H * P, w_hh + gate * H * H, H, H, 1, H)
    if not (plan.want_dx or layer.number):
        return
    for part in range(parts):
        for gate in range(net.gates):
            packed = layer.input_back_weight + padded(n) * H * (
                part * net.gates + input_block(&net.cell, gate)
            )
            pack_units(packed, w_ih + gate * H * D + part * n, n, H, 1, D)


cdef void pack_head_of_units(const Plan* plan) noexcept nogil:
    cdef Py_ssize_t H = plan.net.hidden, K = plan.net.outputs, wide = plan.net.directions * H, d
    cdef const Layer* layer
    cdef const real* columns
    for d in range(plan.net.directions):
        layer = &top_layer(plan)[d]
        columns = plan.parameters + layer.head_weight
        pack_units(layer.head_columns, columns, K, H, wide, 1)
        if plan.backward:
            pack_units(layer.head_back_weight, columns, H, K, 1, wide)
    memset(plan.head_bias, 0, padded(K) * sizeof(real))
    if plan.net.has_head_bias:
        memcpy(plan.head_bias, plan.parameters + plan.net.head_bias, K * sizeof(real))
