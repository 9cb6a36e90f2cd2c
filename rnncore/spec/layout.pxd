"""How wide a block is, how long a segment, and where in memory everything lies."""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t

from rnncore.simd.lanes cimport LANES, real
from rnncore.cells.cell cimport blocks_of_a, gates_of_state
from rnncore.products.lanes_of_units cimport padded
from rnncore.spec.network cimport history, matrices
from rnncore.spec.plan cimport Layer, Plan, has_plain_backward, is_scalar, needs_mask_first

cdef extern from "platform/memory.h":
    enum:
        SEGMENT_BYTES
        MOST_TAPE_BYTES

cdef enum:
    FEW = 4                   # sequences for which chunks of time beat lanes of their own
    MOST_ALONE = 4            # sequences that may be worked on one by one, with units in lanes
    FEW_UNITS = 32            # up to which the forward steps take less time than reading a tape


cdef inline Py_ssize_t gradient_rows(const Plan* plan) noexcept nogil:
    """Rows of `grad_out` and `grad_in`."""
    cdef Py_ssize_t rows = plan.net.inputs if plan.want_dx else 0
    return max(rows, plan.net.directions * plan.net.hidden) if plan.passes > 1 else rows


cdef inline Py_ssize_t tape_rows(const Plan* plan) noexcept nogil:
    """Rows of all layers' tapes."""
    cdef Py_ssize_t i, rows = 0
    for i in range(plan.passes):
        rows += plan.layers[i].rows + plan.saved_rows
        rows += plan.net.hidden * (plan.net.cell.memory + (plan.backward and plan.net.skip > 0))
        rows += plan.net.hidden * plan.noisy
    return rows


cdef inline void choose_block(Plan* plan, Py_ssize_t count, Py_ssize_t time) noexcept nogil:
    """Width of the block and length of the segment, from the problem alone."""
    cdef Py_ssize_t bytes_per_step, i, widest = 2
    cdef Py_ssize_t H = plan.net.hidden
    cdef double tape
    cdef Layer* layer
    plan.gate_rows = H * blocks_of_a(&plan.net.cell)
    plan.saved_rows = H * plan.net.cell.saved if plan.backward else 0
    if is_scalar(plan) or plan.term:  # each step's sums are finished once for every block
        widest = 4
    plan.weights.given = plan.groups * LANES if plan.models_in_lanes else 1
    plan.weights.packed = LANES if is_scalar(plan) else plan.weights.given + plan.dual
    plan.weights.change = plan.net.size if plan.dual else 0
    plan.units_in_lanes = not plan.models_in_lanes and suits_units(plan, count)
    if plan.units_in_lanes:
        plan.ragged = False   # a block is one sequence, as long as that
    for i in range(plan.passes):
        layer = &plan.layers[i]
        layer.tokens = plan.tokens and layer.number == 0 and not plan.net.switching
        layer.input_rows = 0 if layer.tokens else layer.inputs
        layer.rows = layer.input_rows + matrices(&plan.net) * H + (H if plan.net.skip else 0)
        layer.apart_rows = layer.rows if plan.net.switching else H
        if plan.gate_rows * layer.rows * sizeof(real) > SEGMENT_BYTES:
            widest = 4
    plan.chunked = (
        is_scalar(plan) and plan.passes == 1 and not plan.ragged and not plan.tokens
        and has_plain_backward(plan) and count <= FEW and time >= 16 * LANES
    )
    if plan.term or plan.models_in_lanes or plan.lasting or plan.from_hidden or plan.from_final:
        plan.chunked = False
    if plan.units_in_lanes:
        count = 1
    if plan.chunked:
        plan.ragged = True    # the last chunks may be a step shorter
        count = time // 24    # chunks in which a network has time to forget
        widest = 2
    if plan.ragged and not plan.masked and not plan.chunked:
        count //= 4           # narrow blocks rather than few, of more equal lengths
    if plan.models_in_lanes:
        count = widest = 0    # the vectors are chosen already
    elif plan.dual:
        plan.vectors, count = 2, 0
    else:
        plan.vectors = 1
    while plan.vectors < widest and plan.vectors * LANES < count:
        plan.vectors *= 2
    plan.lanes = plan.vectors * LANES
    if plan.chunked:
        time = (time + plan.lanes - 1) // plan.lanes
    plan.width = 0
    if plan.backward and plan.gate_rows >= LANES and not plan.models_in_lanes:
        plan.width = (plan.gate_rows + LANES - 1) // LANES * LANES
    if plan.net.cell.gate != NULL and H % LANES:
        plan.width = 0        # blocks that do not begin with a vector cannot be summed apart
    if plan.net.switching:
        plan.width = 0        # its W_hh are summed one after another
    choose_sizes(plan)
    bytes_per_step = (
        tape_rows(plan) + plan.gate_rows + plan.width + 2 * plan.net.outputs
        + gradient_rows(plan)
    ) * max(plan.lanes, plan.most_vectors * LANES) * <Py_ssize_t>sizeof(real)
    plan.segment = SEGMENT_BYTES // bytes_per_step
    plan.segment = max(1, min(plan.segment, time))
    if plan.term:
        plan.segment = 1      # so that each step's part is on its own
    plan.segments = (time + plan.segment - 1) // plan.segment
    tape = <double>time * tape_rows(plan) * plan.lanes * sizeof(real)
    # Backwards in time everything is needed at once; a skip connection reaches anywhere.
    plan.whole = plan.net.directions == 2 or plan.net.skip > 0 or needs_mask_first(plan)
    plan.whole = plan.whole or plan.backward and (
        plan.chunked or plan.term or H > FEW_UNITS or tape <= MOST_TAPE_BYTES
    )
    plan.slots = plan.segment + 1
    if plan.whole and plan.chunked:
        plan.slots *= plan.segments
    elif plan.whole:
        plan.slots = time + 1


cdef inline bint suits_units(const Plan* plan, Py_ssize_t count) noexcept nogil:
    """Whether so few sequences are worked on one by one, with units in lanes, rather than side by
    side: where that was measured to be faster (docs/project/performance.md). One always is; several
    only where their units fill vectors, and where they do not read large weights as often as there
    are sequences."""
    if is_scalar(plan) or plan.masked or plan.net.skip or plan.term or plan.dual:
        return False
    if plan.net.dropout > 0 or plan.noisy:
        return False
    if 16 <= plan.net.hidden <= 64:
        return count <= min(MOST_ALONE, LANES // 2)
    return count == 1 or plan.net.hidden >= 8 and count <= LANES // 4


cdef inline void choose_sizes(Plan* plan) noexcept nogil:
    """Reals of what is in the lanes: rows of lanes, or blocks of units in whole vectors."""
    cdef Py_ssize_t L = plan.lanes, H = plan.net.hidden, P = padded(H), i
    cdef Layer* layer
    plan.h_size, plan.gate_step = H * L, H
    plan.a_size, plan.saved_size = plan.gate_rows * L, plan.saved_rows * L
    for i in range(plan.passes):
        layer = &plan.layers[i]
        layer.x_size, layer.slot_size = layer.input_rows * L, layer.rows * L
        layer.h_at = layer.x_size
        layer.apart_at = 0 if plan.net.switching else layer.x_size
        if plan.noisy:
            layer.h_at, layer.slot_size = layer.slot_size, layer.slot_size + H * L
        layer.grad_size = layer.inputs * L
    if not plan.units_in_lanes:
        return
    plan.h_size = plan.gate_step = P
    plan.a_size = P * blocks_of_a(&plan.net.cell)
    plan.saved_size = P * plan.net.cell.saved if plan.backward else 0
    for i in range(plan.passes):
        layer = &plan.layers[i]
        layer.x_size, layer.h_at, layer.slot_size = 0, 0, P     # x_t is read where it is
        layer.grad_size = plan.net.directions * P if layer.number else padded(layer.inputs)


cdef inline Py_ssize_t sum_width(const Plan* plan) noexcept nogil:
    """Reals of a row of `grad_rows`."""
    return plan.a_size if plan.units_in_lanes else plan.width


cdef inline Py_ssize_t bias_sums(const Plan* plan) noexcept nogil:
    """Reals of `grad_bias`."""
    return plan.gate_step * blocks_of_a(&plan.net.cell) * plan.weights.given


cdef inline char* carve(char* base, size_t* used, size_t count, size_t size) noexcept nogil:
    """The next `count` items of an arena, on a cache line of their own."""
    cdef size_t offset = used[0]
    used[0] += (count * size + 63) // 64 * 64
    return base + offset if base != NULL else NULL


cdef inline real* carve_reals(char* base, size_t* used, Py_ssize_t count) noexcept nogil:
    return <real*>carve(base, used, <size_t>count, sizeof(real))


cdef inline size_t lay_out_weights(Plan* plan, char* base) noexcept nogil:
    """Point the plan's packed weights into the arena at `base` (64-byte aligned), and return
    how many bytes they take.  With NULL as base, only that."""
    cdef Py_ssize_t H = plan.net.hidden, K = plan.net.outputs, i
    cdef Py_ssize_t recurrent = plan.net.gates * H, apart = plan.net.cell.apart * H
    cdef Py_ssize_t D, head, met, most = H, W = plan.weights.packed
    cdef size_t used = 0
    cdef Layer* layer
    if plan.units_in_lanes:
        return lay_out_units(plan, base)
    for i in range(plan.passes):
        layer = &plan.layers[i]
        D = layer.inputs if plan.want_dx or layer.number > 0 else 0
        head = K if plan.net.has_head and layer.number == plan.net.layers - 1 else 0
        most = max(most, D)
        layer.step_weight = carve_reals(base, &used, (recurrent - apart) * layer.rows * W)
        layer.step_bias = carve_reals(base, &used, plan.gate_rows * W)
        layer.apart_input_weight = carve_reals(base, &used, apart * layer.input_rows * W)
        layer.apart_state_weight = carve_reals(base, &used, apart * layer.apart_rows * W)
        layer.head_columns = carve_reals(base, &used, head * H * W)
        if plan.backward:
            met = gates_of_state(&plan.net.cell) * H
            layer.back_weight = carve_reals(base, &used, matrices(&plan.net) * H * met * W)
            layer.gate_back_weight = carve_reals(base, &used, H * (recurrent - met) * W)
            layer.skip_back_weight = carve_reals(base, &used, H * H * W if plan.net.skip else 0)
            layer.input_back_weight = carve_reals(base, &used, D * recurrent * W)
            layer.head_back_weight = carve_reals(base, &used, H * head * W)
    plan.head_bias = carve_reals(base, &used, K * W if plan.net.has_head else 0)
    if plan.backward:
        plan.no_bias = carve_reals(base, &used, most * W)
    return used


cdef inline size_t lay_out_units(Plan* plan, char* base) noexcept nogil:
    """The same of weights with units in lanes."""
    cdef Py_ssize_t H = plan.net.hidden, K = plan.net.outputs, P = padded(H), i, D, head
    cdef size_t used = 0
    cdef Layer* layer
    for i in range(plan.passes):
        layer = &plan.layers[i]
        D = layer.grad_size if plan.want_dx or layer.number > 0 else 0
        head = K if plan.net.has_head and layer.number == plan.net.layers - 1 else 0
        layer.step_bias = carve_reals(base, &used, plan.a_size)
        layer.input_weight = carve_reals(
            base, &used, 0 if layer.tokens else layer.inputs * plan.net.gates * P
        )
        layer.state_weight = carve_reals(base, &used, H * plan.net.gates * P)
        layer.head_columns = carve_reals(base, &used, H * padded(head))
        if plan.backward:
            layer.back_weight = carve_reals(base, &used, plan.net.gates * H * P)
            layer.input_back_weight = carve_reals(base, &used, plan.net.gates * H * D)
            layer.head_back_weight = carve_reals(base, &used, head * P)
    plan.head_bias = carve_reals(base, &used, padded(K) if plan.net.has_head else 0)
    if plan.backward:
        plan.no_bias = carve_reals(base, &used, most_rows(plan))
    return used


cdef inline Py_ssize_t most_rows(const Plan* plan) noexcept nogil:
    """Reals of the longest product backwards, with units in lanes."""
    return max(plan.h_size, padded(plan.net.inputs))


cdef inline size_t lay_out_tape(Plan* plan, char* base) noexcept nogil:
    """The same for what a block's backward pass needs of its forward pass."""
    cdef Py_ssize_t L = plan.lanes, steps = plan.slots - 1, i
    cdef size_t used = 0
    for i in range(plan.passes):
        used += lay_out_tape_of(plan, &plan.layers[i], base + used if base != NULL else NULL)
    plan.block.mask = carve_reals(base, &used, steps * L if plan.ragged else 0)
    plan.block.token = <int32_t*>carve(
        base, &used, steps * L if plan.tokens else 0, sizeof(int32_t)
    )
    if plan.masked and plan.truncate:
        plan.block.counted = <int32_t*>carve(base, &used, plan.slots * L, sizeof(int32_t))
    return used


cdef inline size_t lay_out_tape_of(Plan* plan, Layer* layer, char* base) noexcept nogil:
    cdef Py_ssize_t H = plan.h_size, L = plan.lanes, s = plan.net.skip
    cdef Py_ssize_t old = history(&plan.net) - 1   # slots for the states before the last
    cdef size_t used = 0
    layer.tape = carve_reals(base, &used, (plan.slots + old) * layer.slot_size)
    if layer.tape != NULL and not layer.reverse:
        layer.tape += old * layer.slot_size
    layer.saved = carve_reals(base, &used, (plan.slots - 1) * plan.saved_size)
    if plan.net.cell.memory:
        layer.memory = carve_reals(base, &used, plan.slots * H)
    if plan.noisy:
        layer.kept = carve_reals(base, &used, H)
    if s and plan.ragged:
        layer.origin = <int32_t*>carve(base, &used, (plan.slots - 1 + s) * L, sizeof(int32_t))
        if layer.origin != NULL and layer.reverse:
            layer.origin += s * L
    if plan.backward and not plan.whole:
        layer.starts = carve_reals(base, &used, plan.segments * 2 * H)
    return used


cdef inline size_t lay_out_room(Plan* plan, char* base) noexcept nogil:
    """The same for the buffers in which blocks are worked on one after another, and for the sums of
    their gradients."""
    cdef Py_ssize_t K = plan.net.outputs, L = plan.lanes, i
    cdef Py_ssize_t most_dx = 0, read = plan.segment if plan.net.every_step else 1
    cdef Py_ssize_t span = plan.slots - 1 if plan.net.directions == 2 else plan.segment
    cdef size_t used = 0
    if plan.backward:
        for i in range(plan.passes):
            used += lay_out_gradients(plan, &plan.layers[i], base + used if base != NULL else NULL)
    if not plan.net.cell.plain:
        plan.block.gates = carve_reals(
            base, &used,
            (plan.segment if plan.tokens or plan.units_in_lanes else 1) * plan.a_size,
        )
    if plan.net.directions == 2:
        plan.block.top = carve_reals(
            base, &used, plan.segment * plan.net.directions * plan.h_size
        )
    if plan.noisy:
        plan.block.through = carve_reals(base, &used, plan.h_size)
        plan.block.aside = carve_reals(base, &used, 2 * plan.h_size)
    plan.block.out = carve_reals(base, &used, read * K * L)
    plan.block.target = carve_reals(base, &used, read * K * L)
    plan.block.weight = carve_reals(base, &used, read * plan.weight_rows * L)
    plan.block.losses = carve_reals(base, &used, K * L if plan.groups > 1 else 0)
    if plan.units_in_lanes:
        plan.block.out_rows = carve_reals(base, &used, read * padded(K))
    if plan.backward:
        if plan.want_dx:
            most_dx = plan.layers[0].grad_size
        if plan.passes > 1 or plan.from_hidden:
            most_dx = max(most_dx, plan.net.directions * plan.h_size)
        plan.block.grad_out = carve_reals(base, &used, span * most_dx)
        plan.block.grad_in = carve_reals(base, &used, span * most_dx)
        plan.block.da = carve_reals(base, &used, plan.segment * plan.a_size)
        plan.block.da_rows = carve_reals(
            base, &used, 0 if plan.units_in_lanes else plan.segment * L * plan.width
        )
    return used


cdef inline size_t lay_out_gradients(Plan* plan, Layer* layer, char* base) noexcept nogil:
    cdef Py_ssize_t H = plan.h_size, old = history(&plan.net) - 1
    cdef size_t used = 0
    if plan.net.skip:
        layer.skip_dh = carve_reals(base, &used, (plan.slots + old) * H)
        if layer.skip_dh != NULL and not layer.reverse:
            layer.skip_dh += old * H
    layer.trace = NULL
    if plan.tracing:
        layer.trace = carve_reals(base, &used, plan.slots * (1 + plan.net.cell.memory) * H)
    layer.grad_rows = carve_reals(base, &used, layer.rows * sum_width(plan))
    layer.grad_bias = carve_reals(base, &used, bias_sums(plan))
    layer.grad_head = NULL
    if plan.units_in_lanes and plan.net.has_head and layer.number == plan.net.layers - 1:
        layer.grad_head = carve_reals(base, &used, plan.net.outputs * H)
    layer.dh = carve_reals(base, &used, H)
    layer.dc = carve_reals(base, &used, H)
    layer.parked_dh = carve_reals(base, &used, H if plan.ragged else 0)
    layer.parked_dc = carve_reals(base, &used, H if plan.ragged else 0)
    return used
