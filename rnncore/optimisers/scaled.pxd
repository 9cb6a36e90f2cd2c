"""Gradients scaled by the root of their mean square, in PyTorch's formulas (g: the gradient).

    rmsprop    v = a v + (1 - a) g^2;  p -= lr g / (sqrt(v) + eps)
    adam(w)    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
               p -= lr / (1 - b1^n) m / (sqrt(v / (1 - b2^n)) + eps)      n-th update
"""

from libc.math cimport pow, sqrt

from rnncore.simd.lanes cimport (
    LANES, real, vdiv, vfma, vload, vmul, vreal, vset1, vsqrt, vstore, vsub,
)
from rnncore.optimisers.optimiser cimport Optimiser, Rule


cdef inline void rmsprop_step(Optimiser* o) noexcept nogil:
    cdef vreal kept = vset1(<real>o.alpha), new = vset1(<real>(1 - o.alpha))
    cdef vreal rate = vset1(<real>-o.lr), p, g, v
    cdef Py_ssize_t i
    for i in range(o.vectors):
        g = vload(o.gradient + i * LANES)
        v = vfma(vmul(new, g), g, vmul(kept, vload(o.state[0] + i * LANES)))
        vstore(o.state[0] + i * LANES, v)
        v = vfma(vsqrt(v), vset1(1), vset1(<real>o.eps))
        p = vload(o.parameters + i * LANES)
        vstore(o.parameters + i * LANES, vfma(rate, vdiv(g, v), p))


cdef inline void adam_step(Optimiser* o) noexcept nogil:
    cdef double n = <double>o.updates
    cdef vreal kept2 = vset1(<real>o.beta2), new2 = vset1(<real>(1 - o.beta2))
    cdef vreal new1 = vset1(<real>(1 - o.beta1))
    cdef vreal rate = vset1(<real>(-o.lr / (1 - pow(o.beta1, n))))
    cdef vreal scale = vset1(<real>(1 / sqrt(1 - pow(o.beta2, n))))
    cdef vreal p, g, m, v
    cdef Py_ssize_t i
    for i in range(o.vectors):
        g = vload(o.gradient + i * LANES)
        v = vfma(vmul(new2, g), g, vmul(kept2, vload(o.state[1] + i * LANES)))
        vstore(o.state[1] + i * LANES, v)
        m = vload(o.state[0] + i * LANES)
        m = vfma(new1, vsub(g, m), m)
        vstore(o.state[0] + i * LANES, m)
        v = vfma(vsqrt(v), scale, vset1(<real>o.eps))
        p = vload(o.parameters + i * LANES)
        vstore(o.parameters + i * LANES, vfma(rate, vdiv(m, v), p))


cdef inline void rmsprop(Rule* rule) noexcept nogil:
    rule.name, rule.states, rule.step = "rmsprop", 1, rmsprop_step


cdef inline void adam(Rule* rule) noexcept nogil:
    rule.name, rule.states, rule.step = "adam", 2, adam_step


cdef inline void adamw(Rule* rule) noexcept nogil:
    rule.name, rule.states, rule.decoupled, rule.step = "adamw", 2, True, adam_step
