"""Huber's loss, squared for errors up to 1 and linear beyond; PyTorch's HuberLoss (Huber 1964).

    L = e^2 / 2 for |e| <= 1, else |e| - 1/2      e = z - d      dL/dz = min(max(e, -1), 1)
"""

from ..simd.lanes cimport real, vabs, vless, vmul, vreal, vselect, vset1, vsub
from .loss cimport Loss, over_outputs


cdef inline vreal huber_point(vreal z, vreal d, vreal* slope) noexcept nogil:
    cdef vreal one = vset1(1), half = vset1(<real>0.5), error = vsub(z, d), size = vabs(error)
    cdef vreal sign = vselect(vless(error, vset1(0)), vset1(-1), one)
    slope[0] = vselect(vless(one, size), sign, error)
    return vselect(vless(one, size), vsub(size, half), vmul(half, vmul(error, error)))


cdef inline void huber_evaluate(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight,
    Py_ssize_t weight_rows, const real* scale, real* losses, real* sums, bint* outside,
) noexcept nogil:
    over_outputs(
        huber_point, False, 0, 0, K, vectors, z, target, weight, weight_rows, scale, losses,
        sums, outside,
    )


cdef inline void huber(Loss* loss) noexcept nogil:
    loss.name, loss.evaluate = "huber", huber_evaluate
