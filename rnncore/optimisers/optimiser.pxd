"""What an optimiser is: on one flat parameter vector or, with models in the lanes, on a vector of
lanes for each parameter, in which every lane belongs to another model.

All vectors are aligned and padded to whole vectors of lanes with zeros.
"""

from libc.math cimport INFINITY
from libc.stdint cimport int64_t

from rnncore.simd.lanes cimport LANES, real

cdef enum:
    MOST_STATES = 2

cdef struct Optimiser

# One update of the parameters by the gradient.
ctypedef void (*Step)(Optimiser* o) noexcept nogil

cdef struct Rule:
    const char* name
    int states                # vectors that it remembers, zeros at first
    bint decoupled            # weight decay acts on the parameters, not on the gradient
    Step step

# What the updates of one model's parameters depend on, in PyTorch's names.
cdef struct Coefficients:
    double lr
    double momentum           # of the rules that have one
    double alpha
    double beta1, beta2, eps
    double clip_norm          # largest norm of the gradient, or 0
    double clip_value         # largest entry of the gradient, or 0
    double norm               # of the last gradient before clipping
    long long updates         # the one under way, from 1

cdef struct Optimiser:
    Rule rule
    bint each                 # whether every lane belongs to another model
    Coefficients of[LANES]    # of each model, or else the first
    # The same as vectors: see `set_coefficients`.
    real lr[LANES]
    real momentum[LANES]
    real alpha[LANES]
    real rest_of_alpha[LANES]  # 1 - alpha
    real rest_of_beta1[LANES]
    real beta2[LANES]
    real rest_of_beta2[LANES]
    real eps[LANES]
    real clip_value[LANES]    # infinity where there is none
    bint clips_values, clips_norms  # of any lane
    Py_ssize_t vectors        # of lanes in each of the following
    Py_ssize_t stride         # reals from one of them to the next: LANES, or more
    real* parameters
    real* gradient
    real* state[MOST_STATES]
    real* decay               # of each parameter; NULL: none
    real* l1                  # of each parameter; NULL: none
    real* free                # 1 where a parameter may change, 0 where not; NULL: all may
    # The parameter whose value each has, of the first `tied`: one before it, which is not free
    # then, or its own; NULL: their own.
    const int64_t* leader
    Py_ssize_t tied


cdef inline void set_coefficients(Optimiser* o) noexcept nogil:
    """Coefficients into lanes: once they are set, and whenever one but for `updates` changes."""
    cdef int lane
    cdef const Coefficients* of
    o.clips_values = o.clips_norms = False
    for lane in range(LANES):
        of = &o.of[lane if o.each else 0]
        o.lr[lane], o.momentum[lane] = <real>of.lr, <real>of.momentum
        o.alpha[lane], o.rest_of_alpha[lane] = <real>of.alpha, <real>(1 - of.alpha)
        o.rest_of_beta1[lane] = <real>(1 - of.beta1)
        o.beta2[lane], o.rest_of_beta2[lane] = <real>of.beta2, <real>(1 - of.beta2)
        o.eps[lane] = <real>of.eps
        o.clip_value[lane] = <real>(of.clip_value if of.clip_value > 0 else INFINITY)
        o.clips_values = o.clips_values or of.clip_value > 0
        o.clips_norms = o.clips_norms or of.clip_norm > 0
