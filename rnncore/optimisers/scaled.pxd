"""Gradients scaled by the root of their mean square, in PyTorch's formulas (g: the gradient).

    rmsprop    v = a v + (1 - a) g^2;  p -= lr g / (sqrt(v) + eps)
    adam(w)    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
               p -= lr / (1 - b1^n) m / (sqrt(v / (1 - b2^n)) + eps)      n-th update
"""

from libc.math cimport pow, sqrt

from rnncore.simd.lanes cimport (
    LANES, real, vdiv, vfma, vload, vload_any, vmul, vreal, vset1, vsqrt, vstore, vsub,
)
from rnncore.optimisers.optimiser cimport Coefficients, Optimiser, Rule


cdef inline void rmsprop_step(Optimiser* o) noexcept nogil:
    cdef vreal kept = vload_any(o.alpha), new = vload_any(o.rest_of_alpha)
    cdef vreal rate = vsub(vset1(0), vload_any(o.lr)), eps = vload_any(o.eps), p, g, v
    cdef Py_ssize_t i
    for i in range(o.vectors):
        g = vload(o.gradient + i * o.stride)
        v = vfma(vmul(new, g), g, vmul(kept, vload(o.state[0] + i * o.stride)))
        vstore(o.state[0] + i * o.stride, v)
        v = vfma(vsqrt(v), vset1(1), eps)
        p = vload(o.parameters + i * o.stride)
        vstore(o.parameters + i * o.stride, vfma(rate, vdiv(g, v), p))


cdef inline void correct_bias(const Optimiser* o, real* rate, real* scale) noexcept nogil:
    """-lr / (1 - b1^n) and 1 / sqrt(1 - b2^n) of every lane; powers only where they differ from
    those of the lane before."""
    cdef const Coefficients* of = NULL
    cdef const Coefficients* last
    cdef int lane
    for lane in range(LANES):
        last = of
        of = &o.of[lane if o.each else 0]
        if last != NULL and (
            of.updates == last.updates and of.lr == last.lr
            and of.beta1 == last.beta1 and of.beta2 == last.beta2
        ):
            rate[lane], scale[lane] = rate[lane - 1], scale[lane - 1]
        else:
            rate[lane] = <real>(-of.lr / (1 - pow(of.beta1, <double>of.updates)))
            scale[lane] = <real>(1 / sqrt(1 - pow(of.beta2, <double>of.updates)))


cdef inline void adam_step(Optimiser* o) noexcept nogil:
    cdef real rates[LANES]
    cdef real scales[LANES]
    cdef vreal kept2 = vload_any(o.beta2), new2 = vload_any(o.rest_of_beta2)
    cdef vreal new1 = vload_any(o.rest_of_beta1), eps = vload_any(o.eps)
    cdef vreal p, g, m, v, rate, scale
    cdef Py_ssize_t i
    correct_bias(o, rates, scales)
    rate, scale = vload_any(rates), vload_any(scales)
    for i in range(o.vectors):
        g = vload(o.gradient + i * o.stride)
        v = vfma(vmul(new2, g), g, vmul(kept2, vload(o.state[1] + i * o.stride)))
        vstore(o.state[1] + i * o.stride, v)
        m = vload(o.state[0] + i * o.stride)
        m = vfma(new1, vsub(g, m), m)
        vstore(o.state[0] + i * o.stride, m)
        v = vfma(vsqrt(v), scale, eps)
        p = vload(o.parameters + i * o.stride)
        vstore(o.parameters + i * o.stride, vfma(rate, vdiv(m, v), p))


cdef inline void rmsprop(Rule* rule) noexcept nogil:
    rule.name, rule.states, rule.step = "rmsprop", 1, rmsprop_step


cdef inline void adam(Rule* rule) noexcept nogil:
    rule.name, rule.states, rule.step = "adam", 2, adam_step


cdef inline void adamw(Rule* rule) noexcept nogil:
    rule.name, rule.states, rule.decoupled, rule.step = "adamw", 2, True, adam_step
