"""What one call works with: the network, the sequences, and a block of them in lanes.

The sequences are worked on a *block* at a time, ``lanes`` of them side by side
in SIMD lanes.  Everything that belongs to a block is a matrix of lanes: rows of
``lanes`` reals, one per sequence.

Where sequences are few, a block is one of them with its *units* in the lanes (units_in_lanes):
H rows of lanes are then H numbers, padded to whole vectors, and x_t, which is read where it is,
takes no part of a slot. ``h_size``, ``slot_size`` and their like say how many reals that is.

In a population every lane of a vector has a *model* of its own (models_in_lanes): a weight is a
vector, one member's in each lane, and the vectors of a row are sequences of these members; or where
members have few sequences, every vector has other members (`groups`).

In a Hessian-vector product every number is a *dual* one (dual): one vector of numbers, sequences
side by side, is followed by a vector of how they change as the parameters are moved along a
direction, and these are the two vectors of a row. See duals/simd/duals.h.

Of every layer, in every direction:

    tape    (slots, rows, lanes)      slot t holds [x_t ; h_{t-1}], so the state after step t
                                      is in slot t + 1; T + 1 slots where the tape is kept
                                      whole, else one segment's, used again and again.
                                      Backwards in time, the same in the mirror: slot t + 1
                                      holds [x_t ; h_{t+1}], the state after step t is in slot t.
                                      x_t: what the layer below puts out.  With a skip
                                      connection, [x_t ; h_{t-1} ; h_{t-s}], and slots before
                                      the first for the states before the start.  Where the plan
                                      is noisy, [x_t ; m h_{t-1} ; h_{t-s} ; h_{t-1}], m = kept;
                                      where it is switching, x_t is one-hot and m h_{t-1} is
                                      there for every token, zero but for that of a lane
    starts  (segments, 2 H, lanes)    where it is not kept whole: the state (and c) before
                                      each segment, from which its steps are taken again
    saved   (slots - 1, saved, lanes)  what the backward step needs to know of the forward one:
                                      f'(a_t), or the factors listed with the cell
    memory  (slots, H, lanes)         c_{t-1} of a cell that has it
    kept    (H, lanes)                of a noisy plan what h_{t-1} is multiplied by where it enters
                                      W_hh, at every step
    dh      (H, lanes)                dL/dh_t
    dc      (H, lanes)                dL/dc_t
    parked_dh, parked_dc  (H, lanes)  gradients at the ends of shorter sequences, see `unpark`
    skip_dh  (slots, H, lanes)        what the skip connection brings to dL/dh_t, by its slot
    trace   (slots, H or 2 H, lanes)  dL/dh_t, and dL/dc_t as far as it comes from the next step,
                                      for diagnostics
    origin  (T + s, lanes)            the slot of h_{t-s}, where steps may not count

Of the block:

    gates   (steps, gates, lanes)     a_t of a gated cell, of one step, or of the segment's
                                      where tokens fill them beforehand
    mask    (slots - 1, lanes)        1 where step t of a sequence counts, 0 where its
                                      state is carried on; only where sequences differ
    token   (slots - 1, lanes)        where the input is integers
    counted (T + 1, lanes)            steps that count before t, where some are masked and
                                      gradients truncated
    da      (segment, gates, lanes)   dL/da_t
    da_rows (segment, lanes, width)   the same, units side by side, where they fill vectors
    grad_out (steps, directions H, lanes)  dL/dh_t of a layer through the next
    grad_in (steps, inputs, lanes)    dL/dx_t of a layer, which is grad_out of the one below.
                                      Steps of a segment, or of all where there are two directions
    top     (segment, directions H, lanes)  states of the last layer, side by side
    through (H, lanes)                of a noisy plan the share of a step in its state (noise.pxi)
    aside   (2 H, lanes)              and backwards dL/dh and dL/dc that go past the step
    out     (segment, K, lanes)       logits, overwritten by dL/dlogits
    target  (segment, targets, lanes)  what they should be, see `target_size`
    weight  (segment, weight_rows, lanes)  1 where that target counts, or its weight

A *segment* is as many steps as keep a block's matrices in the second-level
cache; a "last" read-out uses the first step of out, target and weight.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

from rnncore.products.weights cimport Weights
from rnncore.simd.lanes cimport LANES, real, vreal, vset1, vstore_any
from rnncore.spec.network cimport Network

cdef enum:
    MAX_LANES = 64            # lanes of the largest block: four 64-byte vectors of float32
    MOST_PASSES = 64          # layers times directions

# One layer in one direction.
cdef struct Layer:
    Py_ssize_t number         # from 0 up
    bint reverse              # from the last step to the first
    bint tokens               # its input is integers
    Py_ssize_t inputs         # D, or what the layer below puts out
    Py_ssize_t input_rows     # rows of the tape that x_t takes: none for tokens
    Py_ssize_t rows           # input_rows + H for every W_hh, + H for a skip connection
    Py_ssize_t apart_rows     # that W_hh of the gates kept apart meets: H, or if switching all
    Py_ssize_t apart_at       # reals before these in a slot
    Py_ssize_t x_size         # reals that x_t takes in a slot, after which what meets W_hh is
    Py_ssize_t h_at           # reals before h in a slot
    Py_ssize_t slot_size      # reals of a slot
    Py_ssize_t grad_size      # reals of dL/dx_t
    Py_ssize_t state_row      # which row of the states is its last one
    # Where each block of its parameters starts in the flat vector; of the last layer, its
    # columns of the head.
    Py_ssize_t weight_ih, weight_hh, weight_skip, bias_ih, bias_hh, head_weight, h0, c0
    # Weights in the order in which the products read them.
    real* step_weight         # (shared H, rows) of the gates whose products are added
    real* apart_input_weight  # (apart H, inputs) W_ih of those that keep them apart
    real* apart_state_weight  # (apart H, apart_rows) their W_hh
    real* step_bias           # (gate_rows)    b_ih + b_hh
    real* back_weight         # (H, gates H) W_hh^T, of those gates that meet h_{t-1}; of every W_hh
    real* gate_back_weight    # (H, apart H) W_hh^T of those that meet a gated state
    real* skip_back_weight    # (H, H) W_skip^T
    real* input_back_weight   # (inputs, gates H) W_ih^T
    real* input_weight        # (inputs, gates) W_ih, with units in lanes
    real* state_weight        # (H, gates) W_hh, with units in lanes
    real* head_columns        # (K, H)
    real* head_back_weight    # (H, K)
    # Its part of the block, see the head of this file.
    real* tape
    real* starts
    real* saved
    real* memory
    real* kept
    real* dh
    real* dc
    real* parked_dh
    real* parked_dc
    real* skip_dh
    real* trace
    int32_t* origin
    real* grad_rows           # (rows, width) dL/d[W_ih W_hh]^T of the blocks so far
    real* grad_bias           # (gate_rows)
    real* grad_head           # (K, H) dL/dW_y of the blocks so far, with units in lanes

# What changes from one minibatch to the next, for all threads: copied whole. Of what is a vector,
# all lanes have the same, or with models in the lanes each its own.
cdef struct Job:
    real scale[MAX_LANES]     # 1 / targets that count, or 1 / the sum of their weights
    bint penalised            # whether there is a penalty on the states
    real activation[MAX_LANES]  # dL/dh_t has this times h_t from it
    bint drawing              # whether dropout and zoneout are drawn; else as on average
    uint64_t dropout_seed[MAX_LANES]  # of each model, for that
    # In a population: each model's sequences of this minibatch, and their numbers among those that
    # it has. NULL: a sequence has one number only.
    const int64_t* sequences[MAX_LANES]
    const int64_t* numbers[MAX_LANES]
    Py_ssize_t counts[MAX_LANES]

# The sequences that are in the lanes, and the block's buffers, see the head of this file.
cdef struct Block:
    Py_ssize_t used           # lanes that have a sequence; the others repeat the first
    Py_ssize_t first          # which sequence of the call, or of each model, comes first
    real reads[MAX_LANES]     # 1 where a lane's outputs are read out, else 0
    bint shared               # whether all lanes of a vector have the same sequence
    Py_ssize_t time           # steps of the longest
    Py_ssize_t masked_from      # first step at which the state of some lane may be carried on
    Py_ssize_t sequence[MAX_LANES]
    Py_ssize_t start[MAX_LANES]
    Py_ssize_t length[MAX_LANES]
    real* gates
    real* mask
    int32_t* token
    int32_t* counted
    real* da
    real* da_rows
    real* grad_out
    real* grad_in
    real* top
    real* through
    real* aside
    real* out
    real* target
    real* weight
    real* losses              # (K, lanes) of a step, where models are in groups
    # With units in lanes: the sequence's rows in the caller's arrays; and its logits, or
    # dL/dlogits, as rows (segment, K).
    const real* x
    const int64_t* tokens
    real* out_rows

# Inputs that are made on the way forward: of those that were given, and of outputs.
cdef struct Feed:
    double forcing            # the probability of a given one
    uint64_t seed
    const real* given_x       # (rows, D)
    const int64_t* given_tokens  # (rows)
    real* x                   # what is made
    int64_t* tokens
    real* outputs             # (K) of one sequence

# What the blocks so far came to.
cdef struct Result:
    double loss               # sum over the targets that count
    double losses[MAX_LANES]  # the same of each model, where these are in the lanes
    int faults

# The call's shape, which nothing changes after `set_out`; and one of each of the above.
cdef struct Plan:
    Network net
    bint tokens               # the input is integers
    bint ragged               # steps of some sequences do not count
    bint masked               # and not only those after the last
    bint units_in_lanes       # a block is one sequence, its units in the lanes, see units.pxi
    bint models_in_lanes      # every lane of a vector is another model
    bint dual                 # numbers are dual, gradients of parameters how these change
    bint gauss_newton         # as if outputs were linear in the parameters
    int groups                # of them: 1, or one for every vector of a row
    int most_vectors          # by which a segment is measured, whatever a block has; 0: by that
    Feed* feed                # NULL where inputs are those that were given
    bint chunked              # a block is one sequence, chunks of its time in the lanes
    # There is recurrent dropout, or zoneout, at random or on average; or the network is switching,
    # which goes around a step as these do.
    bint noisy
    bint backward             # gradients are wanted
    bint whole                # the tape is kept whole
    bint want_dx
    bint want_params          # gradients of the parameters
    bint from_outputs         # gradients come from a loss or the caller's dL/dy
    bint from_hidden          # and from the caller's dL/dh_t of the last layer
    bint from_final           # and from the caller's dL/dh of the last states
    bint lasting              # the tape of every block is kept, for backward passes later
    bint pulled               # it is there: this is such a backward pass
    char* tapes               # the blocks' tapes, one after another, where they are kept
    size_t tape_bytes         # of each
    bint tracing              # dL/dh of every slot is kept
    Py_ssize_t truncate       # steps of a truncation window; 0: not truncated
    Py_ssize_t term           # where every step's part of the gradient is kept apart, its size
    Py_ssize_t weight_rows    # where each target has a weight of its own as many, else 1
    Py_ssize_t passes         # layers times directions
    Py_ssize_t gate_rows      # of a_t: H for each block
    Py_ssize_t saved_rows
    # Reals of a block of H rows, of a_t and of what a step saves; and rows from gate to gate in
    # what is summed of dL/da_t.
    Py_ssize_t h_size, a_size, saved_size, gate_step
    Weights weights           # how many reals a weight is
    int vectors               # vectors of lanes in a block
    Py_ssize_t lanes
    Py_ssize_t width          # gate_rows in whole vectors where dW is summed with them in lanes
    Py_ssize_t segment        # steps
    Py_ssize_t segments
    Py_ssize_t slots
    const real* parameters    # the flat vector
    real* head_bias           # (K)
    real* no_bias             # zeros, for products that start from nothing
    Job job
    Block block
    Result result
    Layer layers[MOST_PASSES]  # from the first up, of each first the forward direction


cdef inline bint is_scalar(const Plan* plan) noexcept nogil:
    """Whether the loops for one unit apply."""
    return (
        plan.net.hidden == 1 and plan.net.cell.plain and plan.net.skip == 0 and not plan.noisy
        and not plan.dual
    )


cdef inline bint has_duals(const Plan* plan) noexcept nogil:
    """Whether numbers are dual; never in float32, where no code for them is made."""
    return sizeof(real) == 8 and plan.dual


cdef inline bint each(const Plan* plan) noexcept nogil:
    """Whether weights are vectors, or dual, where the products read them."""
    return plan.weights.packed > 1


cdef inline Py_ssize_t model_of(const Plan* plan, Py_ssize_t lane) noexcept nogil:
    """Which of the models is in a lane; without models the lane of a vector."""
    return lane % (plan.groups * LANES)


cdef inline void set_lanes(real* lanes, double number) noexcept nogil:
    """The same in all lanes of a job."""
    cdef int i
    for i in range(MAX_LANES // LANES):
        vstore_any(lanes + i * LANES, vset1(<real>number))


cdef inline void set_seeds(Job* job, uint64_t seed) noexcept nogil:
    cdef int lane
    for lane in range(MAX_LANES):
        job.dropout_seed[lane] = seed


cdef inline Py_ssize_t most_in_block(const Plan* plan) noexcept nogil:
    """Sequences of a full block; of each model, where these are in the lanes."""
    if plan.models_in_lanes:
        return plan.vectors // plan.groups
    if plan.dual:
        return LANES
    return 1 if plan.chunked or plan.units_in_lanes else plan.lanes


cdef inline bint goes_back(const Plan* plan) noexcept nogil:
    """Whether the backward pass is wanted now."""
    return plan.backward and (plan.pulled or not plan.lasting)


cdef inline bint sums_gradients(const Plan* plan) noexcept nogil:
    """Whether gradients of the parameters are wanted now."""
    return goes_back(plan) and plan.want_params


cdef inline bint has_state_gradients(const Plan* plan) noexcept nogil:
    """Whether dL/dh_t of the last layer is in grad_out, as it is of the others, instead of being
    formed from dL/dy_t step by step."""
    return plan.from_hidden or plan.net.every_step and plan.net.directions == 2


cdef inline bint has_plain_backward(const Plan* plan) noexcept nogil:
    """Whether dL/dh_{t-1} is nothing but W_hh^T dL/da_t and what comes from the layer above."""
    return plan.truncate == 0 and not plan.job.penalised


cdef inline bint needs_mask_first(const Plan* plan) noexcept nogil:
    """Whether it must be known which steps count before the first one is taken."""
    return plan.ragged and (plan.net.skip > 0 or plan.truncate > 0)


cdef inline const Layer* top_layer(const Plan* plan) noexcept nogil:
    """The last layer, in its first direction; the other one follows."""
    return &plan.layers[plan.passes - plan.net.directions]


cdef inline Py_ssize_t tape_index(const Plan* plan, Py_ssize_t t) noexcept nogil:
    """Where step t, the first of a segment, is in the tape: at t where that is kept whole."""
    return t if plan.whole else 0


cdef inline Py_ssize_t before(const Layer* layer, Py_ssize_t t) noexcept nogil:
    """The slot that the step at tape index t comes from."""
    return t + layer.reverse


cdef inline Py_ssize_t after(const Layer* layer, Py_ssize_t t) noexcept nogil:
    """The slot in which it leaves its state."""
    return t + 1 - layer.reverse


cdef inline Py_ssize_t index_read(
    const Plan* plan, const Layer* layer, Py_ssize_t t,
) noexcept nogil:
    """The tape index whose state is read out for index t: of a "last" read-out that of a layer's
    last step, which backwards in time is the first; of one "before" that of the step before."""
    return 0 if layer.reverse and not plan.net.every_step else t - plan.net.before


cdef inline real* slot_of(const Plan* plan, const Layer* layer, Py_ssize_t slot) noexcept nogil:
    """The rows of a slot, which the products of a step read: [x_t ; h_{t-1}]."""
    return layer.tape + slot * layer.slot_size


cdef inline real* state(const Plan* plan, const Layer* layer, Py_ssize_t slot) noexcept nogil:
    """The rows of h in a slot."""
    return slot_of(plan, layer, slot) + layer.h_at


cdef inline real* memory(const Plan* plan, const Layer* layer, Py_ssize_t slot) noexcept nogil:
    """The rows of c in a slot; NULL where the cell has none."""
    if layer.memory == NULL:
        return NULL
    return layer.memory + slot * plan.h_size


cdef inline real* saved_at(const Plan* plan, const Layer* layer, Py_ssize_t t) noexcept nogil:
    """What the step at tape index t saves; NULL where nothing is to be saved."""
    return layer.saved + t * plan.saved_size if plan.backward else NULL


cdef inline const real* saved_state(
    const Plan* plan, const Layer* layer, Py_ssize_t t,
) noexcept nogil:
    """The gated state that the step at tape index t has saved."""
    return saved_at(plan, layer, t) + plan.net.cell.gated * plan.h_size


cdef inline const real* mask_of(const Plan* plan, Py_ssize_t t0) noexcept nogil:
    """Which lanes count, from step t0, the first of a segment, on; NULL where all do."""
    return plan.block.mask + tape_index(plan, t0) * plan.lanes if plan.ragged else NULL


cdef inline real* gradients_at(
    const Plan* plan, real* gradients, Py_ssize_t size, Py_ssize_t t0,
) noexcept nogil:
    """Where `grad_out` or `grad_in`, with so many reals a step, has step t0, a segment's first."""
    return gradients + (t0 * size if plan.net.directions == 2 else 0)
