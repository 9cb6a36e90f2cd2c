"""What a loss is does not depend on the numbers; the loop over outputs does."""

from rnncore.duals.simd.lanes cimport (
    LANES, real, vadd, vless, vload, vload_any, vmul, vreal, vselect, vset1, vstore, vstore_any,
    vsum,
)
from rnncore.losses.loss cimport Loss

include "losses/outputs.pxi"
