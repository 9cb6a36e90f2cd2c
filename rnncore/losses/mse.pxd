"""The squared error.

    L = (d - z)^2      dL/dz = 2 (z - d)
"""

from ..simd.lanes cimport real, vadd, vmul, vreal, vsub
from .loss cimport Loss, over_outputs


cdef inline vreal mse_point(vreal z, vreal d, vreal* slope) noexcept nogil:
    cdef vreal error = vsub(z, d)
    slope[0] = vadd(error, error)
    return vmul(error, error)


cdef inline void mse_evaluate(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight,
    Py_ssize_t weight_rows, const real* scale, real* losses, real* sums, bint* outside,
) noexcept nogil:
    over_outputs(
        mse_point, False, 0, 0, K, vectors, z, target, weight, weight_rows, scale, losses,
        sums, outside,
    )


cdef inline void mse(Loss* loss) noexcept nogil:
    loss.name, loss.evaluate = "mse", mse_evaluate
