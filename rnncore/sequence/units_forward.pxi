# A block of one sequence with its units in lanes: forwards.
#
# Where sequences are few, side by side they leave lanes idle. Here they are worked on one by one,
# and a row of H numbers, padded to whole vectors, takes the place of H rows of lanes: of a slot of
# the tape, of the gates, of what a step saves, of dL/dh. x_t is read where it is, in the caller's
# array or in the tape of the layer below. Every sum is formed in the order in which it is formed
# with sequences in lanes, so the results are the same bits.


cdef inline const real* inputs_of_units(
    const Plan* plan, const Layer* layer, Py_ssize_t part, Py_ssize_t t0, Py_ssize_t* step,
) noexcept nogil:
    """Where that part of x_t is for the steps from t0, the first of a segment, on; and how far from
    step to step."""
    cdef const Layer* lower
    if layer.number == 0:
        step[0] = plan.net.inputs
        return plan.block.x + t0 * plan.net.inputs
    lower = &plan.layers[(layer.number - 1) * plan.net.directions + part]
    step[0] = lower.slot_size
    return state(plan, lower, after(lower, tape_index(plan, t0)))


cdef void look_up_units(
    const Network* net, real* a, Py_ssize_t a_step, const real* bias, const real* w_ih,
    const int64_t* tokens, Py_ssize_t n,
) noexcept nogil:
    """b_ih + b_hh + W_ih onehot(x_t), for n steps"""
    cdef Py_ssize_t t, gate, i, H = net.hidden
    cdef const real* column
    cdef real* block
    cdef int64_t token
    for t in range(n):
        token = tokens[t]
        if not 0 <= token < net.inputs:   # changed by somebody since it was checked
            token = 0
        memcpy(a, bias, blocks_of_a(&net.cell) * padded(H) * sizeof(real))
        for gate in range(net.gates):
            column = w_ih + gate * H * net.inputs + token
            block = a + input_block(&net.cell, gate) * padded(H)
            for i in range(H):
                block[i] += column[i * net.inputs]
        a += a_step


cdef inline void fill_apart(
    const Network* net, real* a, Py_ssize_t a_step, const real* bias, Py_ssize_t n,
) noexcept nogil:
    """The biases of the blocks that only h_{t-1} enters, for n steps."""
    cdef Py_ssize_t first = net.gates * padded(net.hidden), t
    cdef size_t size = net.cell.apart * padded(net.hidden) * sizeof(real)
    if size == 0:
        return
    for t in range(n):
        memcpy(a + t * a_step + first, bias + first, size)


cdef void units_inputs(
    Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """W_ih x_t + b_ih + b_hh of n steps to where a_t is formed; of a plain cell, where h_t is."""
    cdef const Network* net = &plan.net
    cdef Py_ssize_t P = padded(net.hidden), part, t, parts = parts_of_x(plan, layer), x_step = 0
    cdef Py_ssize_t a_step = plan.h_size if net.cell.plain else plan.a_size
    cdef Py_ssize_t n_in = layer.inputs // parts
    cdef real* a = plan.block.gates
    cdef const real* x
    cdef const real* w = layer.input_weight
    if net.cell.plain:
        a = state(plan, layer, after(layer, tape_index(plan, t0)))
    if layer.tokens:
        for t in range(t0, t0 + n):
            if not 0 <= plan.block.tokens[t] < net.inputs:
                plan.result.faults |= BAD_TOKEN
        look_up_units(
            net, a, a_step, layer.step_bias, plan.parameters + layer.weight_ih,
            plan.block.tokens + t0, n,
        )
        return
    if layer.number == 0 and any_not_finite(plan.block.x + t0 * net.inputs, n * net.inputs):
        plan.result.faults |= BAD_INPUT
    for part in range(parts):
        x = inputs_of_units(plan, layer, part, t0, &x_step)
        product(a, a_step, net.gates * P, w, layer.step_bias, x, x_step, n_in, n, part > 0)
        w += n_in * net.gates * P
    fill_apart(net, a, a_step, layer.step_bias, n)


cdef inline void plain_step(
    int vectors, const Network* net, const real* w, const real* h, real* h_new, real* saved,
) noexcept nogil:
    """From h_{t-1} to h_t, where all units are in a few registers."""
    units_tile(1, vectors, True, h_new, 0, w, NULL, h, 0, net.hidden)
    elman_units(net.nonlinearity, vectors, h_new, saved)


cdef inline void add_recurrent(
    const Network* net, const real* w, const real* h, Py_ssize_t h_step, real* a,
    Py_ssize_t a_step, real* saved, Py_ssize_t n,
) noexcept nogil:
    """W_hh h_{t-1} onto a_t of a gated cell, for n rows of h and a; saved: of the one row, or
    NULL."""
    cdef Py_ssize_t H = net.hidden, P = padded(H), k
    cdef Py_ssize_t apart = net.cell.apart * P, met = gates_of_state(&net.cell) * P
    product(a + apart, a_step, met, w, NULL, h, h_step, H, n, True)
    if net.cell.gate == NULL:
        return
    for k in range(n):
        net.cell.gate(P, a + k * a_step, h + k * h_step, saved)
    product(
        a + apart + met, a_step, apart, w + met * H, NULL, a + apart, a_step, H, n, True
    )


cdef void recur_units(
    const Network* net, const real* w, Py_ssize_t n, real* h, Py_ssize_t h_step, real* a,
    Py_ssize_t a_step, real* c, Py_ssize_t c_step, real* saved, Py_ssize_t saved_step,
) noexcept nogil:
    """The loop over time, from W_ih x_t + b_ih + b_hh to h_t: h has h_{t-1}, and a step further
    is h_t, in a plain cell in the place of a_t; c likewise, or with step 0 in place. What a cell
    does not have is NULL, with step 0."""
    cdef Py_ssize_t H = net.hidden, P = padded(H), _t
    cdef int vectors = <int>(P // LANES)
    for _t in range(n):
        if not net.cell.plain:
            add_recurrent(net, w, h, 0, a, 0, saved, 1)
            net.cell.forward(
                net.nonlinearity, P, a, h, c, c + c_step, h + h_step, saved
            )
        elif vectors == 1:
            plain_step(1, net, w, h, h + h_step, saved)
        elif vectors == 2:
            plain_step(2, net, w, h, h + h_step, saved)
        elif vectors == 4:
            plain_step(4, net, w, h, h + h_step, saved)
        else:
            product(h + h_step, 0, H, w, NULL, h, 0, H, 1, True)
            elman_units(net.nonlinearity, vectors, h + h_step, saved)
        h += h_step
        a += a_step
        c += c_step
        saved += saved_step


cdef void units_forward(
    const Plan* plan, const Layer* layer, Py_ssize_t first, Py_ssize_t n,
) noexcept nogil:
    """n steps of a layer, those at tape indices from `first` on, its inputs being in a_t."""
    cdef Py_ssize_t at = first + n - 1 if layer.reverse else first
    cdef Py_ssize_t way = -1 if layer.reverse else 1
    cdef Py_ssize_t old = before(layer, at), a_step = 0 if plan.net.cell.plain else plan.a_size
    recur_units(
        &plan.net, layer.state_weight, n, state(plan, layer, old), way * layer.slot_size,
        plan.block.gates + (at - first) * a_step, way * a_step,
        memory(plan, layer, old), way * plan.h_size if plan.net.cell.memory else 0,
        saved_at(plan, layer, at), way * plan.saved_size,
    )
