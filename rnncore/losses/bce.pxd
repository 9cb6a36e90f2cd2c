"""Binary cross-entropy on a logit.

    L = -d log s(z) - (1 - d) log(1 - s(z))      dL/dz = s(z) - d      s: logistic

A loss near 0 and a slope near 0 keep their digits: s(z) and 1 - s(z) come from one quotient.
"""

from ..simd.lanes cimport (
    real, vabs, vadd, vless, vlog_gates, vmul, vreal, vselect, vset1, vsub,
)
from .loss cimport Loss, over_outputs


cdef inline vreal bce_point(vreal z, vreal d, vreal* slope) noexcept nogil:
    cdef vreal zero = vset1(0), one = vset1(1), log, s, s_minus
    vlog_gates(1, &z, &log, &s, &s_minus)
    # max(z, 0) - d z + log(1 + exp(-|z|)), where 0 times infinity is 0
    cdef vreal away = vselect(vless(z, zero), vsub(zero, d), vsub(one, d))
    cdef vreal loss = vselect(vless(zero, vabs(away)), vmul(z, away), zero)
    # s(z) - d = (1 - d) s(z) - d s(-z)
    slope[0] = vsub(vmul(vsub(one, d), s), vmul(d, s_minus))
    return vadd(loss, log)


cdef inline void bce_evaluate(
    Py_ssize_t K, int vectors, real* z, const real* target, const real* weight,
    Py_ssize_t weight_rows, const real* scale, real* losses, real* sums, bint* outside,
) noexcept nogil:
    over_outputs(
        bce_point, True, 0, 1, K, vectors, z, target, weight, weight_rows, scale, losses,
        sums, outside,
    )


cdef inline void bce(Loss* loss) noexcept nogil:
    loss.name, loss.low, loss.high, loss.evaluate = "bce", 0, 1, bce_evaluate
