"""What a network is, and what a call brings along."""

from libc.stdint cimport int64_t

from rnncore.cells.cell cimport Cell
from rnncore.cells.elman cimport Nonlinearity
from rnncore.simd.lanes cimport real
from rnncore.losses.loss cimport Loss

# What was wrong with the numbers of a call, found while they were copied into lanes.
cdef enum Fault:
    BAD_INPUT = 1             # x, or h0: not finite
    BAD_TOKEN = 2
    BAD_TARGET = 4            # a class that does not exist, a probability outside [0, 1]

cdef struct Network:
    Py_ssize_t inputs         # D, the size of the vocabulary for tokens
    Py_ssize_t hidden         # H
    Py_ssize_t outputs        # K; where there is no head, directions H
    Py_ssize_t layers
    Py_ssize_t directions     # 2 where every layer also runs from the last step to the first
    Cell cell
    Py_ssize_t gates          # of the cell: blocks of H rows in W_ih and W_hh
    Py_ssize_t skip           # s of the skip connection from h_{t-s}; 0: there is none
    bint switching            # W_hh and b_hh are others for every token
    bint has_stream           # whether it runs step by step, with units in lanes
    bint has_bias
    bint has_head
    bint has_head_bias
    bint has_start            # the state before the first step is a parameter
    bint every_step           # read-out "all", or "before"
    bint before               # an output reads the state before its step
    Nonlinearity nonlinearity
    Loss loss
    double dropout            # share of a layer's outputs that the next one does not see
    double recurrent_dropout  # share of h_{t-1} that W_hh does not see
    double zoneout, zoneout_c  # shares of h_t and of c_t that stay as they were
    Py_ssize_t size           # number of parameters
    # Where the head starts in the flat vector, and the first states h and c.
    Py_ssize_t head_weight, head_bias, h0, c0

# Arrays of the caller; NULL where a call has no such thing.
# Row start[s] + t of every per-step array belongs to step t of sequence s.
# A state is so many rows of H: see `state_rows`.
cdef struct Sequences:
    Py_ssize_t count          # B
    Py_ssize_t time           # T, the longest
    const int64_t* start      # (B); NULL: s * time
    const int64_t* length     # (B); NULL: time
    const int64_t* order      # (B) which sequence comes when; NULL: as they stand
    const real* x             # (rows, D)
    const int64_t* tokens     # (rows)
    const unsigned char* mask  # (rows)
    const real* h0            # (B, states, H)
    const real* c0            # (B, states, H)
    const real* target        # (rows or B, numbers), as many as `target_size`
    const int64_t* classes    # (rows or B); in a fit NULL, where classes are reals among targets
    bint soft                 # target has probabilities of classes
    const real* target_weight  # (rows or B, targets): 0 where a target does not count
    const real* dy            # (rows or B, K): dL/dy given instead of a loss
    const real* dhidden       # (rows, directions H): dL/dh_t of the last layer, with or without it
    const real* dfinal        # (B, states, H): dL/dh of the last states
    const real* dfinal_c      # (B, states, H)
    real* y                   # (rows or B, K)
    real* losses              # (rows or B, targets): weight times loss of each
    real* hidden              # (rows, directions H)
    real* final               # (B, states, H)
    real* final_c             # (B, states, H)
    real* dx                  # (rows, D)
    real* dh0                 # (B, states, H)
    real* dc0                 # (B, states, H)


cdef inline Py_ssize_t history(const Network* net) noexcept nogil:
    """States that a layer's next step may need: the last one, with a skip connection s."""
    return max(1, net.skip)


cdef inline Py_ssize_t matrices(const Network* net) noexcept nogil:
    """How many W_hh of a layer there are."""
    return net.inputs if net.switching else 1


cdef inline bint zones_out(const Network* net) noexcept nogil:
    """Whether a part of the state stays as it was, at random or on average."""
    return net.zoneout > 0 or net.zoneout_c > 0


cdef inline bint is_random(const Network* net) noexcept nogil:
    """Whether anything is drawn in training."""
    return net.dropout > 0 or net.recurrent_dropout > 0 or zones_out(net)


cdef inline Py_ssize_t state_rows(const Network* net) noexcept nogil:
    """Rows of H in a sequence's state: layer by layer, of each direction the last state and
    then, with a skip connection, those before it."""
    return net.layers * net.directions * history(net)


cdef inline Py_ssize_t target_width(const Network* net) noexcept nogil:
    """Targets that belong to the outputs of a step: one for all of them, or a number for each of K,
    or for every two of them."""
    return 1 if net.loss.joint else net.outputs // net.loss.outputs


cdef inline Py_ssize_t target_size(const Network* net) noexcept nogil:
    """Numbers that these targets are: one that is for all is a class, or K probabilities."""
    return net.outputs if net.loss.joint and not net.loss.classes else target_width(net)
