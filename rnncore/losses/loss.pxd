"""What a loss is, and the loop over outputs that most of them share."""

from rnncore.simd.lanes cimport (
    LANES, real, vadd, vless, vload, vload_any, vmul, vreal, vselect, vset1, vstore, vstore_any,
    vsum,
)

# The loss of one step's logits z (K, lanes) against target (rows, lanes), as many rows as a step
# has targets, classes as reals. weight (lanes), or with weight_rows > 1 (weight_rows, lanes), is
# what the loss of a target is multiplied by, 0 where it does not count. z is overwritten by
# scale * weight * dL/dz, scale (lanes), and sums, a vector, by those of weight * L over outputs and
# vectors; unless losses is NULL, weight * L goes there (rows, lanes), which may be z. *outside is
# set where a counted target is not one.
ctypedef void (*Evaluate)(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight,
    Py_ssize_t weight_rows, const real* scale, real* losses, real* sums, bint* outside,
) noexcept nogil

cdef struct Loss:
    const char* name
    bint joint                # whether a step has one target, for all of its outputs
    bint classes              # whether that is the number of a class
    int outputs               # outputs that belong to one target, unless it is for all
    double low, high          # what a target may be: no less and no more
    Evaluate evaluate
    Evaluate soft             # of a loss of classes: against their probabilities (K, lanes)

include "losses/outputs.pxi"
