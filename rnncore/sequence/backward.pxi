# The loop over time that reads the tape, last step first, of one layer in one direction; and the
# gradients of its parameters.


cdef inline void clear_carried(const Plan* plan, real* dh, const real* mask) noexcept nogil:
    """A masked step passes dL/dh_t straight on to h_{t-1}; one that counts does not."""
    cdef Py_ssize_t i
    cdef int v
    for i in range(plan.net.hidden):
        for v in range(plan.vectors):
            vstore(dh, vselect(vless(vset1(0), vload(mask + v * LANES)), vset1(0), vload(dh)))
            dh += LANES


cdef void gate_back(
    const Plan* plan, const Layer* layer, Py_ssize_t at, real* da,
) noexcept nogil:
    """Of a gated state, dL/dg_t = W_hh^T dL/da_t of the gates that it enters, and on from there."""
    cdef Py_ssize_t H = plan.net.hidden
    cdef const real* entered = da + plan.net.gates * plan.h_size
    cdef real* dg = plan.block.gates     # which is free on the way back
    if plan.units_in_lanes:
        units_gate_back(plan, layer, entered, dg)
    else:
        weigh(
            plan, dg, layer.gate_back_weight, plan.no_bias, entered, H,
            plan.net.cell.apart * H, False,
        )
    plan.net.cell.gate_backward(plan.h_size, saved_at(plan, layer, at), dg, layer.dh, da)


cdef inline void cell_back(
    bint noisy, const Plan* plan, const Layer* layer, Py_ssize_t at, Py_ssize_t t, real* da,
    const real* mask,
) noexcept nogil:
    """dL/da of step t, at that tape index, into da, and layer.dh (and dc) from after it to before
    it; where steps are masked, mask says which count.  noisy, a literal: plan.noisy."""
    cdef Py_ssize_t H = plan.net.hidden
    cdef bint onto = noisy or mask != NULL or plan.net.cell.carries
    cdef const real* recurrent = da + plan.net.cell.apart * H * plan.lanes
    if noisy:
        part_zoned(plan, layer, t, mask)
    plan.net.cell.backward(plan.h_size, saved_at(plan, layer, at), layer.dh, layer.dc, da)
    if mask != NULL and not plan.net.cell.carries:
        clear_carried(plan, layer.dh, mask)
    if noisy:
        set_direct_aside(plan, layer, mask != NULL or plan.net.cell.carries)
    if plan.net.cell.gate != NULL:
        gate_back(plan, layer, at, da)
    if plan.net.skip:
        skip_backward(plan, layer, da, at)
    # dL/dh_{t-1} = W_hh^T dL/da_t, and what reaches h_{t-1} directly
    if plan.units_in_lanes:
        units_back(plan, layer, da)
        return
    if noisy and plan.net.switching:
        switch_back(plan, layer, at, recurrent)
    else:
        weigh(
            plan, layer.dh, layer.back_weight, plan.no_bias, recurrent, H,
            gates_of_state(&plan.net.cell) * H, onto,
        )
    if noisy:
        rejoin(plan, layer)


cdef inline void keep_gradient(
    const Plan* plan, const Layer* layer, Py_ssize_t slot,
) noexcept nogil:
    """dL/dh, and dL/dc, of the state in a slot into the trace."""
    cdef Py_ssize_t n = plan.h_size
    cdef real* kept = layer.trace + slot * (1 + plan.net.cell.memory) * n
    memcpy(kept, layer.dh, n * sizeof(real))
    if plan.net.cell.memory:
        memcpy(kept + n, layer.dc, n * sizeof(real))


cdef void add_activation(
    const Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t t,
) noexcept nogil:
    """The gradient of a penalty on h_t^2, at the t-th step of a segment where it counts."""
    cdef const real* mask = mask_of(plan, t0)
    cdef const real* h = state(plan, layer, after(layer, tape_index(plan, t0) + t))
    cdef real factor[MAX_LANES]
    cdef Py_ssize_t i, lane
    if plan.units_in_lanes:
        for i in range(plan.net.hidden):
            layer.dh[i] += plan.job.activation[0] * h[i]
        return
    for lane in range(plan.lanes):
        factor[lane] = 0
        if plan.block.reads[lane] > 0 and (mask == NULL or mask[t * plan.lanes + lane] > 0):
            factor[lane] = plan.job.activation[lane]
    for i in range(plan.net.hidden):
        for lane in range(plan.lanes):
            layer.dh[i * plan.lanes + lane] += factor[lane] * h[i * plan.lanes + lane]


# Of sequences without masked steps in between, a lane is idle after its end. There dL/dh is zero,
# and with it every dL/da: the gradient of the state after the last step is parked until the
# backward pass comes to that step. Of the reverse direction, whose first state a lane carries
# until it begins, what has come to it is parked.


cdef inline void unpark(
    const Plan* plan, const Layer* layer, Py_ssize_t t,
) noexcept nogil:
    """Before step t, backwards: the gradient of lanes that end with it is no longer parked, that of
    lanes of the reverse direction that begin after it is."""
    cdef Py_ssize_t end = t + 1 - layer.reverse, lane
    if not plan.ragged or plan.masked or not plan.block.masked_from <= end < plan.block.time:
        return
    for lane in range(plan.lanes):
        if plan.block.length[lane] == end:
            swap_parked(plan, layer, lane)


cdef void swap_parked(const Plan* plan, const Layer* layer, Py_ssize_t lane) noexcept nogil:
    cdef Py_ssize_t i, at
    cdef real kept
    for i in range(plan.net.hidden):
        at = i * plan.lanes + lane
        kept = layer.dh[at]
        layer.dh[at] = layer.parked_dh[at]
        layer.parked_dh[at] = kept
        kept = layer.dc[at]
        layer.dc[at] = layer.parked_dc[at]
        layer.parked_dc[at] = kept


cdef void park_last(const Plan* plan, const Layer* layer) noexcept nogil:
    """What has come to the last states, where a lane ends before the block."""
    cdef Py_ssize_t lane
    if plan.ragged and not plan.masked and not layer.reverse:
        for lane in range(plan.lanes):
            if plan.block.length[lane] < plan.block.time:
                swap_parked(plan, layer, lane)


cdef inline const real* gradients_above(
    const Plan* plan, const Layer* layer, Py_ssize_t t0,
) noexcept nogil:
    """dL/dh_t from the layer above for the steps from t0, the first of a segment, on; NULL where it
    is none, or still in plan.block.out."""
    if layer.number == plan.net.layers - 1 and not has_state_gradients(plan):
        return NULL
    return gradients_at(plan, plan.block.grad_out, plan.net.directions * plan.h_size, t0) + (
        plan.h_size if layer.reverse else 0
    )


cdef inline void steps_back_of(
    bint noisy, const Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """dL/da_t into plan.block.da for steps t0 .. t0 + n, and layer.dh from after them to before
    them.  noisy, a literal: plan.noisy."""
    cdef Py_ssize_t first = tape_index(plan, t0), t, k, free = 0
    cdef const real* grad_out = gradients_above(plan, layer, t0)
    cdef bint out = (
        (grad_out == NULL or plan.net.before) and plan.net.every_step and plan.from_outputs
        and layer.number == plan.net.layers - 1
    )
    cdef const real* mask
    if is_scalar(plan) and has_plain_backward(plan) and not (
        layer.reverse or out or plan.term or grad_out != NULL
    ):
        free = max(0, min(n, plan.block.masked_from - t0))  # steps at which every lane counts
    for k in range(n - free):
        t = k if layer.reverse else n - 1 - k
        unpark(plan, layer, t0 + t)
        if out and not plan.net.before:
            out_to_state(plan, layer, layer.dh, t)
        elif grad_out != NULL:
            add_rows(layer.dh, grad_out + t * plan.net.directions * plan.h_size, plan.h_size)
        if plan.job.penalised:
            add_activation(plan, layer, t0, t)
        if plan.net.skip:
            add_rows(layer.dh, skip_dh_at(plan, layer, after(layer, first + t)), plan.h_size)
        if layer.trace != NULL:
            keep_gradient(plan, layer, after(layer, first + t))
        mask = mask_of(plan, t0) + t * plan.lanes if plan.masked else NULL
        cell_back(
            noisy, plan, layer, first + t, t0 + t, plan.block.da + t * plan.a_size, mask
        )
        if plan.truncate:
            truncate_after(plan, layer, t0 + t)
        if out and plan.net.before:   # the output is in the window of the state it reads
            out_to_state(plan, layer, layer.dh, t)
    if free > 0:
        unpark(plan, layer, t0 + free - 1)
    scalar_backward(plan, layer, saved_at(plan, layer, first), free)


cdef void noisy_steps_back(
    const Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """Apart, so that the other case is compiled as if there were no such thing."""
    steps_back_of(True, plan, layer, t0, n)


cdef void steps_back(
    const Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    if plan.noisy:
        noisy_steps_back(plan, layer, t0, n)
    else:
        steps_back_of(False, plan, layer, t0, n)


cdef inline void out_to_state(
    const Plan* plan, const Layer* layer, real* dh, Py_ssize_t t,
) noexcept nogil:
    """dL/dh_t += W_y^T dL/dy_t, for the t-th step in plan.block.out"""
    cdef Py_ssize_t H = plan.net.hidden
    cdef const real* dy = plan.block.out + t * plan.net.outputs * plan.lanes
    if plan.units_in_lanes:
        out_to_units(plan, layer, dh, t)
    elif plan.net.has_head:
        weigh(
            plan, dh, layer.head_back_weight, plan.no_bias, dy, H, plan.net.outputs, True
        )
    else:
        add_rows(dh, dy + (plan.h_size if layer.reverse else 0), plan.h_size)


cdef void head_gradient(Plan* plan, real* grad, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    """dL/dW_y = sum_t dL/dy_t h_t^T and dL/db_y = sum_t dL/dy_t for n steps in plan.block.out,
    those at tape indices from `first` on."""
    cdef Py_ssize_t K = plan.net.outputs, H = plan.net.hidden, step = K * plan.lanes, d
    cdef const Layer* layer
    cdef Entries to
    if not (plan.net.has_head and plan.want_params):
        return
    if plan.units_in_lanes:
        units_head_gradient(plan, grad, first, n)
        return
    for d in range(plan.net.directions):
        layer = &top_layer(plan)[d]
        to = entries(plan, grad, layer.head_weight, plan.net.directions * H, H)
        to.ones, to.bias = plan.net.has_head_bias and d == 0, entry(plan, grad, plan.net.head_bias)
        add_outer_sum(
            plan, n, to, K, H, plan.block.out, step,
            state(plan, layer, after(layer, index_read(plan, layer, first))), layer.slot_size,
        )


cdef void contract_gates(
    const Plan* plan, const Layer* layer, Py_ssize_t n, const real* da, const real* u,
    const real* g,
) noexcept nogil:
    """The sums of n steps' outer products into layer.grad_rows; da: rows of dL/da, g: their gated
    states."""
    cdef Py_ssize_t H = plan.net.hidden, D = layer.input_rows, W = plan.width
    cdef Py_ssize_t step = layer.slot_size
    cdef Py_ssize_t entered = plan.net.gates * H, apart = plan.net.cell.apart * H
    cdef Py_ssize_t met = gates_of_state(&plan.net.cell) * H
    cdef Py_ssize_t L = plan.lanes, used = plan.block.used
    cdef Py_ssize_t chunk = max(1, CHUNK // L)
    if apart and H % LANES == 0:
        # x_t enters the first blocks and h_{t-1} the last ones
        contract(chunk, n, L, used, layer.grad_rows, W, entered, D, u, step, da)
        contract(
            chunk, n, L, used, layer.grad_rows + D * W + apart, W, met, H, u + D * L, step,
            da + apart,
        )
        contract(
            chunk, n, L, used, layer.grad_rows + D * W + entered, W, entered - met, H, g,
            plan.saved_size, da + entered,
        )
    else:
        contract(chunk, n, L, used, layer.grad_rows, W, W, layer.rows, u, step, da)


cdef void step_gradient(
    const Plan* plan, const Layer* layer, real* grad, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """dL/dW = sum_t dL/da_t [x_t ; h_{t-1}]^T and dL/db = sum_t dL/da_t over the segment."""
    cdef Py_ssize_t t
    cdef Py_ssize_t width = plan.a_size
    cdef const real* u = slot_of(plan, layer, before(layer, tape_index(plan, t0)))
    cdef const real* g = saved_state(plan, layer, tape_index(plan, t0))
    if plan.units_in_lanes:
        units_gradient(plan, layer, grad, t0, n)
        return
    if layer.tokens:
        token_gradient(plan, layer, grad, t0, n)
    if is_scalar(plan) and layer.input_rows <= 4:
        scalar_gradient(plan, layer, grad, u, n)
        return
    if plan.width and plan.net.has_bias:
        add_row_sums(plan, n, layer.grad_bias, 0, plan.gate_rows, plan.block.da, width)
    if plan.width:
        for t in range(n):
            lanes_to_rows(
                plan.vectors, plan.block.da_rows + t * plan.lanes * plan.width,
                plan.block.da + t * width, plan.gate_rows, plan.width,
            )
        if plan.dual:
            contract_gates(plan, layer, n, plan.block.da_rows + LANES * plan.width, u, g)
            contract_gates(plan, layer, n, plan.block.da_rows, u + LANES, g + LANES)
        else:
            contract_gates(plan, layer, n, plan.block.da_rows, u, g)
    else:
        narrow_gradient(plan, layer, grad, u, g, n)


cdef void finish_gradient(const Plan* plan, const Layer* layer, real* grad) noexcept nogil:
    """What was summed in the order of dL/da_t, and with its rows side by side, to where it
    belongs."""
    cdef Py_ssize_t H = plan.net.hidden, D = layer.input_rows, W = sum_width(plan)
    cdef Py_ssize_t i, j, of_input, of_state, given = plan.weights.given, lane
    for i in range(plan.net.gates * H):
        of_input = input_block(&plan.net.cell, i // H) * plan.gate_step + i % H
        of_state = state_block(&plan.net.cell, i // H) * plan.gate_step + i % H
        if plan.net.has_bias:
            for lane in range(given):
                entry(plan, grad, layer.bias_ih + i)[lane] += (
                    layer.grad_bias[of_input * given + lane]
                )
                if plan.net.switching:
                    continue
                entry(plan, grad, layer.bias_hh + i)[lane] += (
                    layer.grad_bias[of_state * given + lane]
                )
        if W == 0:
            continue
        for j in range(D):
            grad[layer.weight_ih + i * D + j] += layer.grad_rows[j * W + of_input]
        for j in range(H):
            grad[layer.weight_hh + i * H + j] += layer.grad_rows[(D + j) * W + of_state]
            if plan.net.skip:
                grad[layer.weight_skip + i * H + j] += layer.grad_rows[(D + H + j) * W + i]
    if layer.grad_head == NULL:
        return
    for i in range(plan.net.outputs):
        for j in range(H):
            grad[layer.head_weight + i * plan.net.directions * H + j] += (
                layer.grad_head[i * plan.h_size + j]
            )


cdef void input_gradients(
    const Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """dL/dx_t = W_ih^T dL/da_t into plan.block.grad_in; of two directions the sum."""
    cdef Py_ssize_t t, D = layer.inputs
    cdef real* grad_in = gradients_at(plan, plan.block.grad_in, layer.grad_size, t0)
    if plan.units_in_lanes:
        units_input_gradients(plan, layer, grad_in, n)
        return
    for t in range(n):
        weigh(
            plan, grad_in + t * layer.grad_size, layer.input_back_weight, plan.no_bias,
            plan.block.da + t * plan.a_size, D, plan.net.gates * plan.net.hidden,
            plan.net.directions == 2 and not layer.reverse,
        )
