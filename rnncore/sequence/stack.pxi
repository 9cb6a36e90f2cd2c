# Between the layers of a stack: what one puts out is the next one's input, and dL/dx_t of the
# next is dL/dh_t of the one below.

cdef void inherit_inputs(
    const Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """x_t of a layer: the states of the one below, in both directions, after the same steps."""
    cdef Py_ssize_t H = plan.h_size, step = layer.slot_size, d, t
    cdef const Layer* lower = &plan.layers[(layer.number - 1) * plan.net.directions]
    cdef real* x = slot_of(plan, layer, before(layer, tape_index(plan, t0)))
    cdef const real* h
    for d in range(plan.net.directions):
        h = state(plan, &lower[d], after(&lower[d], tape_index(plan, t0)))
        for t in range(n):
            memcpy(x + t * step, h + t * lower.slot_size, H * sizeof(real))
        drop_out(plan, &lower[d], t0, n, x, step)
        x += H


cdef void gradients_to_lower(
    Plan* plan, const Sequences* seqs, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """dL/dx_t of a layer's segment to the layer below or the caller, once all directions are
    summed."""
    cdef Py_ssize_t d
    cdef const Layer* lower
    cdef real* grad_in
    if layer.number == 0 and not plan.want_dx:
        return
    input_gradients(plan, layer, t0, n)
    if layer.reverse:
        return
    grad_in = gradients_at(plan, plan.block.grad_in, layer.grad_size, t0)
    if layer.number == 0 and plan.units_in_lanes:
        copy_rows(
            seqs.dx + (plan.block.start[0] + t0) * layer.inputs, layer.inputs, grad_in,
            layer.grad_size, layer.inputs, n,
        )
        return
    if layer.number == 0:
        scatter_rows(
            plan, grad_in, layer.grad_size, layer.inputs, plan.block.start, t0, n,
            mask_of(plan, t0), seqs.dx,
        )
        return
    for d in range(plan.net.directions):
        lower = &plan.layers[(layer.number - 1) * plan.net.directions + d]
        drop_out(plan, lower, t0, n, grad_in + d * plan.h_size, layer.grad_size)


cdef void swap_gradients(Plan* plan) noexcept nogil:
    """The gradient of a layer's input is that of the output of the layer below."""
    cdef real* grad_in = plan.block.grad_in
    plan.block.grad_in = plan.block.grad_out
    plan.block.grad_out = grad_in
