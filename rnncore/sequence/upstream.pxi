# Gradients that the caller gives for states: dL/dh_t of the last layer at every step (dhidden), and
# dL/dh and dL/dc of the states after the last step that counts (dfinal).


cdef void clear_unused(const Plan* plan, real* rows, Py_ssize_t n) noexcept nogil:
    """Zeros in the lanes that have no sequence of their own, of n rows of lanes."""
    cdef Py_ssize_t i, lane
    if plan.units_in_lanes or plan.block.used == plan.lanes:
        return
    for i in range(n):
        for lane in range(plan.block.used, plan.lanes):
            rows[i * plan.lanes + lane] = 0


cdef void gather_dhidden(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n, real* grad_out,
) noexcept nogil:
    """The caller's dL/dh_t for steps t0 .. t0 + n into rows of grad_out; zeros where he gives none.
    A masked step within a sequence puts out the state that it carries on, which may have some."""
    cdef Py_ssize_t H = plan.net.hidden, P = plan.h_size, d
    cdef Py_ssize_t wide = plan.net.directions * H, step = plan.net.directions * P
    cdef const real* rows
    if not plan.from_hidden or plan.units_in_lanes:
        memset(grad_out, 0, n * step * sizeof(real))
    if not plan.from_hidden:
        return
    if not plan.units_in_lanes:
        gather_rows(
            plan, seqs.dhidden, wide, plan.block.start, t0, n, mask_of(plan, t0), grad_out, step,
            True,
        )
        clear_unused(plan, grad_out, n * wide)
        return
    rows = seqs.dhidden + (plan.block.start[0] + t0) * wide
    if any_not_finite(rows, n * wide):
        plan.result.faults |= BAD_INPUT
    for d in range(plan.net.directions):
        copy_rows(grad_out + d * P, step, rows + d * H, wide, H, n)


cdef void gradients_of_final(
    Plan* plan, const Sequences* seqs, const Layer* layer,
) noexcept nogil:
    """dL/dh and dL/dc after a layer's last step: the caller's, else zeros."""
    cdef const real* dh = seqs.dfinal if plan.from_final else NULL
    cdef const real* dc = seqs.dfinal_c if plan.from_final else NULL
    gather_state(plan, dh, NULL, layer.state_row, layer.dh)
    gather_state(plan, dc, NULL, layer.state_row, layer.dc)
    if plan.from_final:
        clear_unused(plan, layer.dh, plan.net.hidden)
        clear_unused(plan, layer.dc, plan.net.hidden)
    if plan.net.skip:
        gradients_of_history(plan, seqs, layer)


cdef void gradients_of_history(
    Plan* plan, const Sequences* seqs, const Layer* layer,
) noexcept nogil:
    """dL/dh of the states before the last that steps to come would have needed, to where the skip
    connection leaves what it brings: see `deliver_history`. No step of the block leads there."""
    cdef Py_ssize_t s = plan.net.skip, T = plan.block.time, H = plan.net.hidden, k, i, lane
    cdef const int32_t* origin
    memset(
        skip_dh_at(plan, layer, 0 if layer.reverse else 1 - s), 0,
        (plan.slots + s - 1) * plan.h_size * sizeof(real),
    )
    if not plan.from_final:
        return
    for k in range(1, s):
        if not plan.ragged:
            gather_state(
                plan, seqs.dfinal, NULL, layer.state_row + k,
                skip_dh_at(plan, layer, k if layer.reverse else T - k),
            )
            clear_unused(plan, skip_dh_at(plan, layer, k if layer.reverse else T - k), H)
            continue
        # dc is free as scratch: a cell with a skip connection has no c
        gather_state(plan, seqs.dfinal, NULL, layer.state_row + k, layer.dc)
        origin = layer.origin + (k - s if layer.reverse else T + s - 1 - k) * plan.lanes
        for lane in range(plan.block.used):
            for i in range(H):
                skip_dh_at(plan, layer, origin[lane])[i * plan.lanes + lane] = (
                    layer.dc[i * plan.lanes + lane]
                )
    memset(layer.dc, 0, plan.h_size * sizeof(real))
