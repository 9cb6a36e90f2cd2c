"""The negative log-likelihood of a count by a Poisson distribution whose log rate is z, without the
term log d!, which is the same for every z; PyTorch's PoissonNLLLoss.

    L = exp(z) - d z      dL/dz = exp(z) - d
"""

from ..simd.lanes cimport real, vexp, vmul, vreal, vsub
from .loss cimport Loss, over_outputs

cdef extern from "<math.h>" nogil:
    const double INFINITY


cdef inline vreal poisson_point(vreal z, vreal d, vreal* slope) noexcept nogil:
    cdef vreal rate = vexp(z)
    slope[0] = vsub(rate, d)
    return vsub(rate, vmul(d, z))


cdef inline void poisson_evaluate(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight,
    Py_ssize_t weight_rows, const real* scale, real* losses, real* sums, bint* outside,
) noexcept nogil:
    over_outputs(
        poisson_point, True, 0, <real>INFINITY, K, vectors, z, target, weight, weight_rows, scale,
        losses, sums, outside,
    )


cdef inline void poisson(Loss* loss) noexcept nogil:
    loss.name, loss.low, loss.evaluate = "poisson", 0, poisson_evaluate
