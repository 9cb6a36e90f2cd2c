# The loop over time that writes the tape, of one layer in one direction; and the read-out.


cdef inline void products_of(
    bint of_lanes, const Plan* plan, const Layer* layer, const real* u, real* a, real* saved,
) noexcept nogil:
    """From u (rows, lanes) = [x_t ; h_{t-1}] to a_t (gate_rows, lanes), see cells/cell.pxd; saved
    is what a gated state saves on the way.
    of_lanes, a literal: whether every lane has weights of its own.

    Of tokens, W_ih x_t and the biases that go with it are in a already, and u has no rows for x_t.
    """
    cdef Py_ssize_t H = plan.net.hidden, L = plan.lanes
    cdef Py_ssize_t apart = plan.net.cell.apart * H, shared = plan.net.cell.shared * H
    cdef const real* bias = layer.step_bias
    cdef const real* h = u + layer.apart_at
    if apart and not layer.tokens:
        weigh_by(
            of_lanes, plan, a, layer.apart_input_weight, bias, u, apart,
            layer.input_rows, False,
        )
    weigh_by(
        of_lanes, plan, a + apart * L, layer.step_weight, bias + apart * plan.weights.packed, u,
        shared, layer.rows, layer.tokens,
    )
    if plan.net.cell.gate != NULL:
        plan.net.cell.gate(plan.h_size, a, h, saved)
        h = a + apart * L
    if apart:
        weigh_by(
            of_lanes, plan, a + (apart + shared) * L, layer.apart_state_weight,
            bias + (apart + shared) * plan.weights.packed, h, apart, layer.apart_rows, False,
        )


cdef void products_of_lanes(
    const Plan* plan, const Layer* layer, const real* u, real* a, real* saved,
) noexcept nogil:
    """Apart, so that the other case is compiled as if there were no such thing."""
    products_of(True, plan, layer, u, a, saved)


cdef inline void cell_forward(
    const Plan* plan, const Layer* layer, Py_ssize_t at, Py_ssize_t t,
) noexcept nogil:
    """One step, the t-th of its segment, at that tape index."""
    cdef Py_ssize_t old = before(layer, at), new = after(layer, at)
    cdef real* h = state(plan, layer, new)
    cdef real* a = h
    cdef real* saved = saved_at(plan, layer, at)
    if plan.net.skip:
        gather_skip(plan, layer, at)
    if not plan.net.cell.plain:
        a = plan.block.gates + (t * plan.a_size if layer.tokens else 0)
    if each(plan):
        products_of_lanes(plan, layer, slot_of(plan, layer, old), a, saved)
    else:
        products_of(False, plan, layer, slot_of(plan, layer, old), a, saved)
    plan.net.cell.forward(
        plan.net.nonlinearity, plan.h_size, a, state(plan, layer, old),
        memory(plan, layer, old), memory(plan, layer, new), h, saved,
    )


cdef inline void carry_rows(
    const Plan* plan, const real* old, real* new, const real* mask,
) noexcept nogil:
    """Rows of H as they were where a step does not count."""
    cdef Py_ssize_t i
    cdef int v
    for i in range(plan.net.hidden):
        for v in range(plan.vectors):
            vstore(new, vselect(vless(vset1(0), vload(mask + v * LANES)), vload(new), vload(old)))
            old += LANES
            new += LANES


cdef inline void carry_step(
    const Plan* plan, const Layer* layer, Py_ssize_t at,
) noexcept nogil:
    """Where a step does not count the state stays as it was. With steps that count before and
    after it: no factor that was saved counts, and of a gated cell the last one, by which the
    state is kept, is 1."""
    cdef Py_ssize_t H = plan.net.hidden, i, old = before(layer, at), new = after(layer, at)
    cdef const real* mask = plan.block.mask + at * plan.lanes
    cdef real* saved = saved_at(plan, layer, at)
    cdef int v
    cdef vmask counts
    cdef vreal other
    carry_rows(plan, state(plan, layer, old), state(plan, layer, new), mask)
    if plan.net.cell.memory:
        carry_rows(plan, memory(plan, layer, old), memory(plan, layer, new), mask)
    if saved == NULL or not plan.masked:
        return
    for i in range(plan.saved_rows):
        other = vset1(not plan.net.cell.plain and i >= plan.saved_rows - H)
        for v in range(plan.vectors):
            counts = vless(vset1(0), vload(mask + v * LANES))
            vstore(saved, vselect(counts, vload(saved), other))
            saved += LANES
            if plan.dual:
                other = vset1(0)      # which does not change


cdef void noisy_steps(
    const Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """`forward_steps` with recurrent dropout and zoneout, or of a switching network."""
    cdef Py_ssize_t first = tape_index(plan, t0), t, i
    for t in range(n):
        i = n - 1 - t if layer.reverse else t
        if plan.net.switching:
            switch_state(plan, layer, before(layer, first + i))
        else:
            keep_share(plan, layer, before(layer, first + i))
        cell_forward(plan, layer, first + i, i)
        zone_out(plan, layer, first + i, t0 + i)
        if t0 + i >= plan.block.masked_from:
            carry_step(plan, layer, first + i)


cdef void forward_steps(
    const Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """Steps t0 .. t0 + n of a layer, its inputs and the state before them being in the tape."""
    cdef Py_ssize_t first = tape_index(plan, t0), t = 0, i
    if plan.units_in_lanes:
        units_forward(plan, layer, first, n)
        return
    if plan.noisy:
        noisy_steps(plan, layer, t0, n)
        return
    if is_scalar(plan) and not layer.reverse:
        t = max(0, min(n, plan.block.masked_from - t0))  # steps at which every lane counts
        scalar_forward(
            plan, layer, slot_of(plan, layer, first), saved_at(plan, layer, first), t
        )
    while t < n:
        i = n - 1 - t if layer.reverse else t
        cell_forward(plan, layer, first + i, i)
        if t0 + i >= plan.block.masked_from:
            carry_step(plan, layer, first + i)
        t += 1


cdef void side_by_side(
    const Plan* plan, Py_ssize_t t, Py_ssize_t of_reverse, Py_ssize_t n, real* out,
) noexcept nogil:
    """The last layer's states after n steps, from tape index t on and in the reverse direction from
    another, as rows of one matrix each."""
    cdef const Layer* layer = top_layer(plan)
    cdef Py_ssize_t i, d
    for i in range(n):
        for d in range(plan.net.directions):
            memcpy(
                out, state(plan, &layer[d], after(&layer[d], (of_reverse if d else t) + i)),
                plan.h_size * sizeof(real),
            )
            out += plan.h_size


cdef void read_out(Plan* plan, Py_ssize_t first, Py_ssize_t n) noexcept nogil:
    """y_t = W_y h_t + b_y, or from h_{t-1}, for n tape indices from `first` on; the states
    themselves where there is no head."""
    cdef Py_ssize_t t, d, K = plan.net.outputs
    cdef const Layer* layer
    cdef const real* h
    if plan.units_in_lanes:
        read_out_units(plan, first, n)
        return
    if not plan.net.has_head:
        layer = top_layer(plan)
        side_by_side(
            plan, index_read(plan, layer, first),
            index_read(plan, layer + plan.net.directions - 1, first), n, plan.block.out,
        )
        return
    for d in range(plan.net.directions):
        layer = &top_layer(plan)[d]
        h = state(plan, layer, after(layer, index_read(plan, layer, first)))
        for t in range(n):
            weigh(
                plan, plan.block.out + t * K * plan.lanes, layer.head_columns,
                plan.head_bias, h + t * layer.slot_size, K, plan.net.hidden, d > 0,
            )


cdef inline void add_loss(Plan* plan, vreal sums) noexcept nogil:
    """The sums of a step's losses by lane onto the result."""
    cdef int v
    cdef Py_ssize_t k, L = plan.lanes
    if not plan.models_in_lanes:
        plan.result.loss += vsum(sums)
    elif plan.groups == 1:
        add_lanes(plan.result.losses, sums)
    else:                          # vectors have models of their own: their sums are apart
        for v in range(plan.vectors):
            sums = vset1(0)
            for k in range(target_width(&plan.net)):
                sums = vadd(sums, vload(plan.block.losses + k * L + v * LANES))
            add_lanes(plan.result.losses + v * LANES, sums)


cdef inline void add_lanes(double* totals, vreal sums) noexcept nogil:
    cdef real of_lane[LANES]
    cdef int lane
    vstore_any(of_lane, sums)
    for lane in range(LANES):
        totals[lane] += of_lane[lane]


cdef void compare(Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n) noexcept nogil:
    """Logits in plan.block.out against the targets: the loss onto plan.result.loss, its slope over
    the logits, or where the caller wants them the losses.  Where the caller gave dL/dy, that is
    the slope."""
    cdef Py_ssize_t K = plan.net.outputs, W = plan.weight_rows, t, k
    cdef real sums[MAX_LANES]
    cdef real* z = plan.block.out
    cdef const real* target = plan.block.target
    cdef const real* weight = plan.block.weight
    cdef real* losses = NULL
    cdef bint outside = False
    if plan.units_in_lanes:
        compare_units(plan, seqs, t0, n)
        return
    if seqs.dy != NULL:
        gather_dy(plan, seqs, t0, n)
        return
    gather_targets(plan, seqs, t0, n)
    for t in range(n):
        if seqs.losses != NULL:
            losses = z            # dL/dy is not wanted then
        elif plan.groups > 1:
            losses = plan.block.losses
        plan.net.loss.evaluate(
            K, plan.vectors // (1 + plan.dual), z, target, weight, W, plan.job.scale, losses, sums,
            &outside,
        )
        add_loss(plan, vload_any(sums))
        if plan.gauss_newton:     # dL/dy only where it changes
            for k in range(K):
                vstore(z + k * plan.lanes, vset1(0))
        z += K * plan.lanes
        target += target_size(&plan.net) * plan.lanes
        weight += W * plan.lanes
    if outside:
        plan.result.faults |= BAD_TARGET
