"""Gradient descent, plain or with momentum, in PyTorch's formulas (g: the gradient).

    sgd        p -= lr g
    momentum   v = mu v + g;  p -= lr v
    nesterov   v = mu v + g;  p -= lr (g + mu v)
"""

from rnncore.simd.lanes cimport LANES, real, vfma, vload, vload_any, vreal, vset1, vstore, vsub
from rnncore.optimisers.optimiser cimport Optimiser, Rule


cdef inline void descend(Optimiser* o, bint momentum, bint ahead) noexcept nogil:
    cdef Py_ssize_t i
    cdef vreal p, g, v, mu = vload_any(o.momentum)
    cdef vreal rate = vsub(vset1(0), vload_any(o.lr))
    for i in range(o.vectors):
        g = vload(o.gradient + i * o.stride)
        if momentum:
            v = vfma(mu, vload(o.state[0] + i * o.stride), g)
            vstore(o.state[0] + i * o.stride, v)
            g = vfma(mu, v, g) if ahead else v
        p = vload(o.parameters + i * o.stride)
        vstore(o.parameters + i * o.stride, vfma(rate, g, p))


cdef inline void sgd_step(Optimiser* o) noexcept nogil:
    descend(o, False, False)


cdef inline void momentum_step(Optimiser* o) noexcept nogil:
    descend(o, True, False)


cdef inline void nesterov_step(Optimiser* o) noexcept nogil:
    descend(o, True, True)


cdef inline void sgd(Rule* rule) noexcept nogil:
    rule.name, rule.step = "sgd", sgd_step


cdef inline void momentum(Rule* rule) noexcept nogil:
    rule.name, rule.states, rule.step = "momentum", 1, momentum_step


cdef inline void nesterov(Rule* rule) noexcept nogil:
    rule.name, rule.states, rule.step = "nesterov", 1, nesterov_step
