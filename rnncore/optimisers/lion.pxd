"""Lion: every parameter moves by the same length, in the direction of the sign of a mean of
gradients (X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023).

    c = b1 m + (1 - b1) g;  m = b2 m + (1 - b2) g;  p -= lr sign(c)       sign(0) = 0
"""

from rnncore.simd.lanes cimport (
    LANES, real, vfma, vless, vload, vload_any, vreal, vselect, vset1, vstore, vsub,
)
from rnncore.optimisers.optimiser cimport Optimiser, Rule


cdef inline void lion_step(Optimiser* o) noexcept nogil:
    cdef vreal new1 = vload_any(o.rest_of_beta1), new2 = vload_any(o.rest_of_beta2)
    cdef vreal zero = vset1(0), down = vload_any(o.lr), up = vsub(zero, down), p, g, m, c
    cdef Py_ssize_t i
    for i in range(o.vectors):
        g = vload(o.gradient + i * o.stride)
        m = vload(o.state[0] + i * o.stride)
        c = vfma(new1, vsub(g, m), m)
        vstore(o.state[0] + i * o.stride, vfma(new2, vsub(g, m), m))
        p = vload(o.parameters + i * o.stride)
        c = vselect(vless(zero, c), up, vselect(vless(c, zero), down, zero))
        vstore(o.parameters + i * o.stride, vfma(vset1(1), c, p))


cdef inline void lion(Rule* rule) noexcept nogil:
    rule.name, rule.states, rule.decoupled, rule.step = "lion", 1, True, lion_step
