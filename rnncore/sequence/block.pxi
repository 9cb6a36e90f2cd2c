# A block of sequences: its layers one after another, forwards and back; then block after block.


cdef inline void start_layer(
    Plan* plan, const Layer* layer, const Sequences* seqs,
) noexcept nogil:
    """The states before a layer's first step: given, or parameters, or zeros."""
    cdef Py_ssize_t first = plan.block.time if layer.reverse else 0, k
    cdef const real* h = parameter(plan, layer.h0) if plan.net.has_start else NULL
    cdef const real* c = parameter(plan, layer.c0) if plan.net.has_start else NULL
    gather_state(plan, seqs.h0, h, layer.state_row, state(plan, layer, first))
    if plan.net.cell.memory:
        gather_state(plan, seqs.c0, c, layer.state_row, memory(plan, layer, first))
    for k in range(1, plan.net.skip):
        gather_state(
            plan, seqs.h0, NULL, layer.state_row + k,
            state(plan, layer, first + k if layer.reverse else first - k),
        )
    if layer.origin != NULL:
        trace_origins(plan, layer)
    if plan.noisy:
        draw_kept(plan, layer)


cdef void forward_segment(
    Plan* plan, const Sequences* seqs, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """Steps t0 .. t0 + n of a layer, from the state in the tape."""
    if plan.units_in_lanes:
        units_inputs(plan, layer, t0, n)
    elif layer.number == 0:
        gather_inputs(plan, layer, seqs, t0, n)
    else:
        inherit_inputs(plan, layer, t0, n)
    forward_steps(plan, layer, t0, n)


cdef inline Py_ssize_t next_segment(
    const Plan* plan, bint reverse, Py_ssize_t k, Py_ssize_t* n,
) noexcept nogil:
    """Where the k-th segment of a way through time begins, and how long it is."""
    cdef Py_ssize_t last = (plan.block.time - 1) // plan.segment
    cdef Py_ssize_t t0 = (last - k if reverse else k) * plan.segment
    n[0] = min(plan.segment, plan.block.time - t0)
    return t0


cdef void forward_passes(
    Plan* plan, const Sequences* seqs, Py_ssize_t first, Py_ssize_t end,
) noexcept nogil:
    """All steps of the layers first .. end, segment by segment, and what the caller wants of
    the last one."""
    cdef Py_ssize_t k, n = 0, t0, i
    cdef const Layer* layer
    for i in range(first, end):
        start_layer(plan, &plan.layers[i], seqs)
    for k in range((plan.block.time + plan.segment - 1) // plan.segment):
        t0 = next_segment(plan, plan.layers[first].reverse, k, &n)
        if first == 0 and plan.ragged and not needs_mask_first(plan):
            fill_mask(plan, seqs, t0, n)
        for i in range(first, end):
            layer = &plan.layers[i]
            if not plan.whole and t0 > 0:
                copy_state(
                    plan, state(plan, layer, 0), memory(plan, layer, 0),
                    state(plan, layer, plan.segment), memory(plan, layer, plan.segment),
                )
            if layer.starts != NULL:
                keep_start(plan, layer, t0)
            forward_segment(plan, seqs, layer, t0, n)
        if end == plan.passes:
            deliver_steps(plan, seqs, t0, n)
        if plan.feed != NULL:
            feed_back(plan, t0)


cdef void forward_block(Plan* plan, const Sequences* seqs) noexcept nogil:
    """The block's states, and of its outputs and loss what the call asks for.

    With plan.backward, outputs are left to `backward_block`.
    """
    cdef Py_ssize_t i
    if needs_mask_first(plan):
        fill_mask(plan, seqs, 0, plan.block.time)
    if plan.block.counted != NULL:
        count_before(plan)
    if plan.net.directions == 1:
        forward_passes(plan, seqs, 0, plan.passes)
    else:
        for i in range(plan.passes):   # a layer needs all of the one below
            forward_passes(plan, seqs, i, i + 1)
    deliver_last(plan, seqs, last_index(plan))


cdef inline Py_ssize_t last_index(const Plan* plan) noexcept nogil:
    """Where the last step of the block is in the tape."""
    return plan.block.time - 1 if plan.whole else (plan.block.time - 1) % plan.segment


cdef inline void copy_state(
    const Plan* plan, real* h, real* c, const real* old_h, const real* old_c,
) noexcept nogil:
    cdef size_t size = plan.h_size * sizeof(real)
    memcpy(h, old_h, size)
    if plan.net.cell.memory:
        memcpy(c, old_c, size)


cdef inline real* start_of(const Plan* plan, const Layer* layer, Py_ssize_t t0) noexcept nogil:
    """Where the state before the segment of step t0 is kept: h, and after it c."""
    return layer.starts + t0 // plan.segment * 2 * plan.h_size


cdef inline void keep_start(const Plan* plan, const Layer* layer, Py_ssize_t t0) noexcept nogil:
    cdef real* start = start_of(plan, layer, t0)
    copy_state(
        plan, start, start + plan.h_size, state(plan, layer, 0), memory(plan, layer, 0)
    )


cdef void forward_again(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """The tape of a segment, for the second time: the same bits."""
    cdef Py_ssize_t i
    cdef const Layer* layer
    cdef const real* start
    if plan.ragged:
        fill_mask(plan, seqs, t0, n)
    for i in range(plan.passes):
        layer = &plan.layers[i]
        start = start_of(plan, layer, t0)
        copy_state(
            plan, state(plan, layer, 0), memory(plan, layer, 0), start,
            start + plan.h_size,
        )
        forward_segment(plan, seqs, layer, t0, n)


cdef inline void begin_gradients(
    Plan* plan, const Sequences* seqs, const Layer* layer,
) noexcept nogil:
    """After the last step."""
    if plan.ragged:
        memset(layer.parked_dh, 0, plan.h_size * sizeof(real))
        memset(layer.parked_dc, 0, plan.h_size * sizeof(real))
    gradients_of_final(plan, seqs, layer)


cdef void output_gradients_of_last(
    Plan* plan, const Sequences* seqs, real* grad, Py_ssize_t t,
) noexcept nogil:
    """dL/dh of the states that are read out, those of the last step at tape index t, onto dh of
    the last layer; the head's gradient."""
    cdef Py_ssize_t d
    cdef const Layer* layer
    if seqs.dy == NULL:
        read_out(plan, t, 1)
    compare(plan, seqs, 0, 1)
    head_gradient(plan, grad, t, 1)
    for d in range(plan.net.directions):
        layer = &top_layer(plan)[d]
        out_to_state(plan, layer, layer.dh, 0)


cdef void output_gradients(
    Plan* plan, const Sequences* seqs, real* grad, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """dL/dy_t of the steps t0 .. t0 + n into plan.block.out; the head's gradient."""
    if seqs.dy == NULL:
        read_out(plan, tape_index(plan, t0), n)
    compare(plan, seqs, t0, n)
    head_gradient(plan, grad, tape_index(plan, t0), n)


cdef void state_gradients(
    Plan* plan, const Sequences* seqs, real* grad, Py_ssize_t t0, Py_ssize_t end,
) noexcept nogil:
    """The same of the steps t0 .. end, and on to dL/dh_t, onto what the caller gives of it, into
    plan.block.grad_out."""
    cdef Py_ssize_t H = plan.h_size, n, t, d
    cdef real* grad_out = plan.block.grad_out
    gather_dhidden(plan, seqs, t0, end - t0, grad_out)
    if not (plan.net.every_step and plan.from_outputs):
        return
    while t0 < end:
        n = min(plan.segment, end - t0)
        output_gradients(plan, seqs, grad + t0 * plan.term, t0, n)
        for t in range(0 if plan.net.before else n):   # else `steps_back` sees to it
            for d in range(plan.net.directions):
                out_to_state(plan, &top_layer(plan)[d], grad_out, t)
                grad_out += H
        t0 += n


cdef inline Py_ssize_t first_step_back(const Plan* plan) noexcept nogil:
    """Before it, no step of the block has a gradient: it is outside the last truncation window."""
    if plan.truncate and not (plan.job.penalised or plan.net.every_step or plan.from_hidden):
        if plan.net.directions == 1:
            return max(0, plan.block.masked_from - plan.truncate)
    return 0


cdef void backward_passes(
    Plan* plan, const Sequences* seqs, real* grad, Py_ssize_t first, Py_ssize_t end,
) noexcept nogil:
    """The layers first .. end, last one first, segment by segment against their way in time."""
    cdef Py_ssize_t k, n = 0, t0, i
    cdef const Layer* layer
    for k in range((plan.block.time + plan.segment - 1) // plan.segment):
        t0 = next_segment(plan, not plan.layers[first].reverse, k, &n)
        if t0 + n <= first_step_back(plan):
            break
        if not plan.whole and k > 0:  # the last one's tape is still there
            forward_again(plan, seqs, t0, n)
        if plan.net.directions == 1:
            if plan.from_hidden:
                state_gradients(plan, seqs, grad, t0, t0 + n)
            elif plan.net.every_step and plan.from_outputs:
                output_gradients(plan, seqs, grad + t0 * plan.term, t0, n)
        for i in range(end - 1, first - 1, -1):
            layer = &plan.layers[i]
            steps_back(plan, layer, t0, n)
            if plan.want_params:
                step_gradient(plan, layer, grad + t0 * plan.term, t0, n)
            if plan.term:
                finish_gradient(plan, layer, grad + t0 * plan.term)
                clear_sums(plan, layer)
            gradients_to_lower(plan, seqs, layer, t0, n)
            if plan.net.directions == 1:
                swap_gradients(plan)


cdef void backward_block(Plan* plan, const Sequences* seqs, real* grad) noexcept nogil:
    """From the tape to the gradients: grad += those of this block, or with plan.term a row for
    every step."""
    cdef Py_ssize_t i, n = 0, t0 = next_segment(plan, True, 0, &n)
    if plan.pulled and not plan.whole:   # the tape of another segment may be there
        forward_again(plan, seqs, t0, n)
    for i in range(plan.passes):
        begin_gradients(plan, seqs, &plan.layers[i])
    if plan.from_outputs and not plan.net.every_step:
        output_gradients_of_last(
            plan, seqs, grad + (plan.block.time - 1) * plan.term, last_index(plan)
        )
    for i in range(plan.passes):
        park_last(plan, &plan.layers[i])
    if plan.net.directions == 2 and has_state_gradients(plan):
        state_gradients(plan, seqs, grad, 0, plan.block.time)
    if plan.net.directions == 1:
        backward_passes(plan, seqs, grad, 0, plan.passes)
    else:
        for i in range(plan.passes - 1, -1, -1):
            backward_passes(plan, seqs, grad, i, i + 1)
            if not plan.layers[i].reverse:
                swap_gradients(plan)
    for i in range(plan.passes):
        finish_start(plan, seqs, &plan.layers[i], grad)


cdef void finish_start(
    Plan* plan, const Sequences* seqs, const Layer* layer, real* grad,
) noexcept nogil:
    """What reaches the states before the first step: to the caller, and where they are
    parameters to their gradient."""
    cdef Py_ssize_t first = plan.block.time if layer.reverse else 0, k, H = plan.net.hidden
    if plan.ragged:
        add_rows(layer.dh, layer.parked_dh, plan.h_size)
        add_rows(layer.dc, layer.parked_dc, plan.h_size)
    if plan.net.skip:
        add_rows(layer.dh, skip_dh_at(plan, layer, first), plan.h_size)
    if layer.trace != NULL:
        keep_gradient(plan, layer, first)
    scatter_state(plan, layer.dh, layer.state_row, seqs.dh0)
    scatter_state(plan, layer.dc, layer.state_row, seqs.dc0)
    for k in range(1, plan.net.skip):
        scatter_state(
            plan, skip_dh_at(plan, layer, first + k if layer.reverse else first - k),
            layer.state_row + k, seqs.dh0,
        )
    if not plan.want_params:
        return
    if plan.net.has_start and seqs.h0 == NULL and plan.units_in_lanes:
        for k in range(H):
            grad[layer.h0 + k] += layer.dh[k]
            if plan.net.cell.memory:
                grad[layer.c0 + k] += layer.dc[k]
    elif plan.net.has_start and seqs.h0 == NULL:
        add_row_sums(plan, 1, grad, layer.h0, H, layer.dh, 0)
        if plan.net.cell.memory:
            add_row_sums(plan, 1, grad, layer.c0, H, layer.dc, 0)


cdef inline bint is_reading_out(const Plan* plan, const Sequences* seqs) noexcept nogil:
    """Whether outputs are wanted on the way forward."""
    return seqs.y != NULL or not plan.backward and plan.net.loss.evaluate != NULL


cdef void deliver_steps(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """What the caller wants of steps t0 .. t0 + n: states, outputs, loss."""
    cdef Py_ssize_t H = plan.net.hidden, first = tape_index(plan, t0)
    cdef Py_ssize_t wide = plan.net.directions * H
    cdef const Layer* layer = top_layer(plan)
    cdef const real* mask = mask_of(plan, t0)
    if seqs.hidden != NULL and plan.units_in_lanes:
        units_to_rows(
            plan, first, first, n, seqs.hidden + (plan.block.start[0] + t0) * wide, wide
        )
    elif seqs.hidden != NULL and plan.net.directions == 1:
        scatter_rows(
            plan, state(plan, layer, first + 1), layer.slot_size, H,
            plan.block.start, t0, n, mask, seqs.hidden, True,
        )
    elif seqs.hidden != NULL:
        side_by_side(plan, first, first, n, plan.block.top)
        scatter_rows(
            plan, plan.block.top, 2 * plan.h_size, wide, plan.block.start, t0, n, mask,
            seqs.hidden, True,
        )
    if plan.net.every_step and is_reading_out(plan, seqs):
        read_out(plan, first, n)
        deliver_outputs(plan, seqs, t0, n, mask)


cdef void deliver_outputs(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n, const real* mask,
) noexcept nogil:
    """The outputs that were read out, or their losses."""
    cdef Py_ssize_t K = plan.net.outputs
    cdef const real* out = plan.block.out
    cdef const Py_ssize_t* rows = rows_of_outputs(plan)
    if seqs.y == NULL:
        compare(plan, seqs, t0, n)
        if seqs.losses != NULL and not plan.units_in_lanes:
            scatter_rows(
                plan, out, K * plan.lanes, target_width(&plan.net), rows, t0, n, mask, seqs.losses
            )
    elif plan.units_in_lanes:
        copy_rows(seqs.y + (rows[0] + t0) * K, K, plan.block.out_rows, padded(K), K, n)
    else:
        scatter_rows(plan, out, K * plan.lanes, K, rows, t0, n, mask, seqs.y)


cdef void deliver_last(Plan* plan, const Sequences* seqs, Py_ssize_t t) noexcept nogil:
    """What the caller wants of the states after each layer's last step, that at tape index t (of
    the reverse direction, the first)."""
    cdef Py_ssize_t i, k
    cdef const Layer* layer
    if is_reading_out(plan, seqs) and not plan.net.every_step:
        read_out(plan, t, 1)
        deliver_outputs(plan, seqs, 0, 1, NULL)
    if seqs.final == NULL:
        return
    for i in range(plan.passes):
        layer = &plan.layers[i]
        k = after(layer, 0 if layer.reverse else t)
        scatter_state(plan, state(plan, layer, k), layer.state_row, seqs.final)
        if plan.net.cell.memory:
            scatter_state(plan, memory(plan, layer, k), layer.state_row, seqs.final_c)
        if plan.net.skip:
            deliver_history(plan, seqs, layer)


cdef inline void clear_sums(const Plan* plan, const Layer* layer) noexcept nogil:
    memset(layer.grad_rows, 0, layer.rows * sum_width(plan) * sizeof(real))
    memset(layer.grad_bias, 0, bias_sums(plan) * sizeof(real))
    if layer.grad_head != NULL:
        memset(layer.grad_head, 0, plan.net.outputs * plan.h_size * sizeof(real))
