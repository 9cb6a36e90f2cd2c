"""What an optimiser is, on one flat parameter vector.

All vectors are aligned and padded to whole vectors of lanes with zeros.
"""

from rnncore.simd.lanes cimport real

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

cdef struct Optimiser:
    Rule rule
    double lr
    double momentum           # of the rules that have one, as PyTorch names them
    double alpha
    double beta1, beta2, eps
    double clip_norm          # largest norm of the gradient, or 0
    double clip_value         # largest entry of the gradient, or 0
    double norm               # of the last gradient before clipping
    long long updates         # the one under way, from 1
    Py_ssize_t vectors        # of lanes in each of the following
    real* parameters
    real* gradient
    real* state[MOST_STATES]
    real* decay               # of each parameter; NULL: none
    real* l1                  # of each parameter; NULL: none
