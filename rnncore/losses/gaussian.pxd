"""The negative log-likelihood of a number by a normal distribution, without the constant
log(2 pi) / 2; PyTorch's GaussianNLLLoss, of a log variance. The first half of the outputs are
means m, the second half logs of variances s.

    L = (s + (d - m)^2 exp(-s)) / 2
    dL/dm = (m - d) exp(-s)      dL/ds = (1 - (d - m)^2 exp(-s)) / 2
"""

from ..simd.lanes cimport (
    LANES, real, vadd, vexp, vload, vload_any, vmul, vreal, vset1, vstore, vstore_any, vsub,
)
from .loss cimport Loss, weighted


cdef inline void gaussian_evaluate(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight,
    Py_ssize_t weight_rows, const real* scale, real* losses, real* sums, bint* _outside,
) noexcept nogil:
    cdef vreal zero = vset1(0), half = vset1(<real>0.5), total = zero
    cdef vreal w, m, s, precision, error, square, loss
    cdef Py_ssize_t k, i, other = K // 2 * vectors * LANES
    cdef int v
    for k in range(K // 2):
        for v in range(vectors):
            i = (k * vectors + v) * LANES
            w = vload(weight + (i if weight_rows > 1 else v * LANES))
            m, s = vload(z + i), vload(z + other + i)
            precision = vexp(vsub(zero, s))
            error = vsub(m, vload(target + i))
            square = vmul(vmul(error, error), precision)
            loss = weighted(w, vmul(half, vadd(s, square)))
            total = vadd(total, loss)
            error = vmul(vload_any(scale + v * LANES), vmul(error, precision))
            square = vmul(vload_any(scale + v * LANES), vmul(half, vsub(vset1(1), square)))
            vstore(z + i, weighted(w, error))
            vstore(z + other + i, weighted(w, square))
            if losses != NULL:
                vstore(losses + i, loss)
    vstore_any(sums, total)


cdef inline void gaussian(Loss* loss) noexcept nogil:
    loss.name, loss.outputs, loss.evaluate = "gaussian_nll", 2, gaussian_evaluate
