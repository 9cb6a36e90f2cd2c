"""What one call works with: the network, the sequences, and a block of them in lanes.

The sequences are worked on a *block* at a time, ``lanes`` of them side by side
in SIMD lanes.  Everything that belongs to a block is a matrix of lanes: rows of
``lanes`` reals, one per sequence.

    tape    (slots, rows, lanes)      slot t holds [x_t ; h_{t-1}], so the state after
                                      step t is in slot t + 1; T + 1 slots where the
                                      tape is kept whole for the backward pass, else one
                                      segment's, used again and again
    starts  (segments, H, lanes)      where it is not kept whole: the state (and c) before
                                      each segment, from which its steps are taken again
    saved   (slots - 1, saved, lanes)  what the backward step needs to know of the forward one:
                                      f'(a_t), or the factors listed with the cell
    memory  (slots, H, lanes)         c_{t-1} of an LSTM
    gates   (steps, gates, lanes)     a_t of a gated cell: room for one step, or for the segment's
                                      where tokens fill them beforehand
    hold    (slots - 1, lanes)        1 where step t of a sequence counts, 0 where its
                                      state is carried on; only where sequences differ
    token   (slots - 1, lanes)        where the input is integers
    da      (segment, gates, lanes)   dL/da_t
    da_rows (segment, lanes, width)   the same, units side by side, where they fill vectors
    dh      (H, lanes)                dL/dh_t
    dc      (H, lanes)                dL/dc_t
    dx      (D, lanes)                dL/dx_t
    out     (segment, K, lanes)       logits, overwritten by dL/dlogits
    target  (segment, K, lanes)       what they should be (class numbers: one row)
    weight  (segment, lanes)          1 where that target counts

A *segment* is as many steps as keep a block's matrices in the second-level
cache; a "last" read-out uses the first step of out, target and weight.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t

from rnncore.lanes cimport LANES, real

cdef enum:
    MAX_LANES = 64            # lanes of the largest block: four 64-byte vectors of float32
    SEGMENT_BYTES = 524288    # of tape and buffers in one segment: half of a common L2

    FEW = 4                   # sequences for which chunks of time beat lanes of their own

    # A tape beyond this no longer fits a last-level cache: of networks of so few units, whose
    # forward steps take less time than reading it back, it is not kept but formed again.
    MOST_TAPE_BYTES = 8388608
    FEW_UNITS = 32

cdef enum Cell:
    ELMAN, LSTM, GRU

cdef enum Nonlinearity:
    TANH, RELU, SIGMOID, IDENTITY

cdef enum Loss:
    NO_LOSS, BCE, MSE, CROSS_ENTROPY

# What was wrong with the numbers of a call, found while they were copied into lanes.
cdef enum Fault:
    BAD_INPUT = 1             # x, or h0: not finite
    BAD_TOKEN = 2
    BAD_TARGET = 4            # a class that does not exist, a probability outside [0, 1]

cdef struct Network:
    Py_ssize_t inputs         # D, the size of the vocabulary for tokens
    Py_ssize_t hidden         # H
    Py_ssize_t outputs        # K; H where there is no head
    Cell cell
    Py_ssize_t gates          # blocks of H rows in W_ih and W_hh
    bint has_bias
    bint has_head
    bint every_step           # read-out "all"
    Nonlinearity nonlinearity
    Loss loss
    Py_ssize_t size           # number of parameters
    # Where each block of parameters starts in the flat vector.
    Py_ssize_t weight_ih, weight_hh, bias_ih, bias_hh, head_weight, head_bias

# Arrays of the caller; NULL where a call has no such thing.
# Row start[s] + t of every per-step array belongs to step t of sequence s.
cdef struct Sequences:
    Py_ssize_t count          # B
    Py_ssize_t time           # T, the longest
    const int64_t* start      # (B); NULL: s * time
    const int64_t* length     # (B); NULL: time
    const int64_t* order      # (B) which sequence comes when; NULL: as they stand
    const real* x             # (rows, D)
    const int64_t* tokens     # (rows)
    const unsigned char* mask  # (rows)
    const real* h0            # (B, H)
    const real* c0            # (B, H)
    const real* target        # (rows or B, K)
    const int64_t* classes    # (rows or B)
    const real* dy            # (rows or B, K): dL/dy given instead of a loss
    real* y                   # (rows or B, K)
    real* hidden              # (rows, H)
    real* final               # (B, H)
    real* final_c             # (B, H)
    real* dx                  # (rows, D)
    real* dh0                 # (B, H)
    real* dc0                 # (B, H)

cdef struct Plan:
    Network net
    bint tokens               # the input is integers
    bint ragged               # steps of some sequences do not count
    bint chunked              # a block is one sequence, chunks of its time in the lanes
    bint backward             # gradients are wanted
    bint whole                # the tape is kept whole
    bint want_dx
    Py_ssize_t input_rows     # rows of the tape that x_t takes: D, none for tokens
    Py_ssize_t rows           # input_rows + H
    Py_ssize_t gate_rows      # of a_t: H for each gate; a GRU keeps W_in x and W_hn h apart
    Py_ssize_t saved_rows
    int vectors               # vectors of lanes in a block
    Py_ssize_t lanes
    Py_ssize_t width          # gate_rows in whole vectors where dW is summed with them in lanes
    Py_ssize_t segment        # steps
    Py_ssize_t segments
    Py_ssize_t slots
    const real* parameters    # the flat vector
    # Weights in the order in which the products read them.
    real* step_weight         # (gates H, rows); of a GRU only r and z
    real* new_weight          # (H, D), of a GRU: W_in
    real* reset_weight        # (H, H), of a GRU: W_hn
    real* step_bias           # (gate_rows)    b_ih + b_hh
    real* back_weight         # (H, gates H) W_hh^T
    real* input_back_weight   # (D, gates H) W_ih^T
    real* head_weight         # (K, H)
    real* head_bias           # (K)
    real* head_back_weight    # (H, K)
    real* no_bias             # zeros, for products that start from nothing
    real* grad_rows           # (rows, width) dL/d[W_ih W_hh]^T of the blocks so far
    real* grad_bias           # (gate_rows)
    # The block (see above) and the sequences in it.
    real* tape
    real* starts
    real* saved
    real* memory
    real* gates
    real* hold
    int32_t* token
    real* da
    real* da_rows
    real* dh
    real* dc
    real* dx
    real* out
    real* target
    real* weight
    Py_ssize_t counts_from    # first lane whose output is read out
    Py_ssize_t used           # lanes that hold a sequence; the others repeat the first
    Py_ssize_t time           # steps of the longest in the block
    Py_ssize_t held_from      # first step at which some lane may be held
    Py_ssize_t sequence[MAX_LANES]
    Py_ssize_t start[MAX_LANES]
    Py_ssize_t length[MAX_LANES]
    # What the blocks so far came to.
    double scale              # 1 / targets counted in the whole call
    double loss               # sum over the counted targets
    int faults


cdef inline Py_ssize_t saved_blocks(Cell cell) noexcept nogil:
    """Blocks of H rows that a step saves."""
    return 6 if cell == LSTM else 5 if cell == GRU else 1


cdef inline bint scalar(const Plan* plan) noexcept nogil:
    """Whether the loops for one unit apply."""
    return plan.net.hidden == 1 and plan.net.cell == ELMAN


cdef inline void choose_block(Plan* plan, Py_ssize_t count, Py_ssize_t time) noexcept nogil:
    """Width of the block and length of the segment, from the problem alone."""
    cdef Py_ssize_t bytes_per_step, widest = 2
    cdef double tape
    plan.input_rows = 0 if plan.tokens else plan.net.inputs
    plan.rows = plan.input_rows + plan.net.hidden
    plan.gate_rows = plan.net.hidden * (1 if plan.net.cell == ELMAN else 4)
    plan.saved_rows = plan.net.hidden * saved_blocks(plan.net.cell) if plan.backward else 0
    if scalar(plan) or plan.gate_rows * plan.rows * sizeof(real) > SEGMENT_BYTES:
        widest = 4
    plan.chunked = (
        scalar(plan) and not plan.ragged and not plan.tokens
        and count <= FEW and time >= 16 * LANES
    )
    if plan.chunked:
        plan.ragged = True    # the last chunks may be a step shorter
        count = time // 24    # chunks in which a network has time to forget
        widest = 2
    plan.vectors = 1
    while plan.vectors < widest and plan.vectors * LANES < count:
        plan.vectors *= 2
    plan.lanes = plan.vectors * LANES
    if plan.chunked:
        time = (time + plan.lanes - 1) // plan.lanes
    plan.width = 0
    if plan.backward and plan.gate_rows >= LANES:
        plan.width = (plan.gate_rows + LANES - 1) // LANES * LANES
    bytes_per_step = (
        plan.rows + plan.saved_rows + plan.gate_rows + plan.width + 2 * plan.net.outputs
    ) * plan.lanes * <Py_ssize_t>sizeof(real)
    plan.segment = SEGMENT_BYTES // bytes_per_step
    plan.segment = max(1, min(plan.segment, time))
    plan.segments = (time + plan.segment - 1) // plan.segment
    tape = <double>time * (plan.rows + plan.saved_rows) * plan.lanes * sizeof(real)
    plan.whole = plan.backward and (
        plan.chunked or plan.net.hidden > FEW_UNITS or tape <= MOST_TAPE_BYTES
    )
    plan.slots = plan.segment + 1
    if plan.whole and plan.chunked:
        plan.slots *= plan.segments
    elif plan.whole:
        plan.slots = time + 1


cdef inline real* carve(char* base, size_t* used, Py_ssize_t count) noexcept nogil:
    """The next `count` reals of an arena, on a cache line of their own."""
    cdef size_t offset = used[0]
    used[0] += (<size_t>count * sizeof(real) + 63) // 64 * 64
    return <real*>(base + offset) if base != NULL else NULL


cdef inline size_t lay_out_weights(Plan* plan, char* base) noexcept nogil:
    """Point the plan's packed weights into the arena at `base` (64-byte aligned), and return
    how many bytes they take.  With NULL as base, only that."""
    cdef Py_ssize_t H = plan.net.hidden, K = plan.net.outputs
    cdef Py_ssize_t D = plan.net.inputs if plan.want_dx else 0
    cdef Py_ssize_t head = K if plan.net.has_head else 0
    cdef Py_ssize_t recurrent = plan.net.gates * H
    cdef size_t used = 0
    plan.step_weight = carve(base, &used, recurrent * plan.rows)
    plan.step_bias = carve(base, &used, plan.gate_rows)
    if plan.net.cell == GRU:
        plan.new_weight = carve(base, &used, H * plan.input_rows)
        plan.reset_weight = carve(base, &used, H * H)
    plan.head_weight = carve(base, &used, head * H)
    plan.head_bias = carve(base, &used, head)
    if plan.backward:
        plan.back_weight = carve(base, &used, H * recurrent)
        plan.input_back_weight = carve(base, &used, D * recurrent)
        plan.head_back_weight = carve(base, &used, H * head)
        plan.no_bias = carve(base, &used, max(H, D))
    return used


cdef inline size_t lay_out_block(Plan* plan, char* base) noexcept nogil:
    """The same for the buffers of a block."""
    cdef Py_ssize_t H = plan.net.hidden, K = plan.net.outputs, L = plan.lanes
    cdef Py_ssize_t D = plan.net.inputs if plan.want_dx else 0
    cdef Py_ssize_t steps = plan.slots - 1
    cdef Py_ssize_t read = plan.segment if plan.net.every_step else 1
    cdef size_t used = 0
    plan.tape = carve(base, &used, plan.slots * plan.rows * L)
    if plan.backward and not plan.whole:
        plan.starts = carve(base, &used, plan.segments * 2 * H * L)
    plan.saved = carve(base, &used, steps * plan.saved_rows * L)
    if plan.net.cell == LSTM:
        plan.memory = carve(base, &used, plan.slots * H * L)
    if plan.net.cell != ELMAN:
        plan.gates = carve(base, &used, (plan.segment if plan.tokens else 1) * plan.gate_rows * L)
    plan.hold = carve(base, &used, steps * L if plan.ragged else 0)
    plan.token = <int32_t*>carve(base, &used, steps * L if plan.tokens else 0)
    plan.out = carve(base, &used, read * K * L)
    plan.target = carve(base, &used, read * K * L)
    plan.weight = carve(base, &used, read * L)
    if plan.backward:
        plan.grad_rows = carve(base, &used, plan.rows * plan.width)
        plan.grad_bias = carve(base, &used, plan.gate_rows)
        plan.da = carve(base, &used, plan.segment * plan.gate_rows * L)
        plan.da_rows = carve(base, &used, plan.segment * L * plan.width)
        plan.dh = carve(base, &used, H * L)
        plan.dc = carve(base, &used, H * L)
        plan.dx = carve(base, &used, D * L)
    return used
