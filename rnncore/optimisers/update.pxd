"""One update with penalties and clipping, which are the same for every rule.

    g += l1 sign(p)                                     the slope of l1 |p|
    g = min(max(g, -clip_value), clip_value)
    g *= min(1, clip_norm / (|g| + 1e-6))
    g += d p,  or of a decoupled rule  p -= lr d p      d: weight decay
    the rule's own step
"""

from libc.math cimport isfinite, sqrt

from rnncore.simd.lanes cimport (
    LANES, real, vadd, vfma, vless, vload, vmul, vreal, vselect, vset1, vstore, vsub, vsum,
)
from rnncore.optimisers.optimiser cimport Optimiser


cdef inline void add_l1(Optimiser* o) noexcept nogil:
    """g += l1 sign(p), with 0 as the sign of 0"""
    cdef Py_ssize_t i
    cdef vreal p, s, zero = vset1(0)
    for i in range(o.vectors):
        p = vload(o.parameters + i * LANES)
        s = vload(o.l1 + i * LANES)
        s = vselect(vless(zero, p), s, vselect(vless(p, zero), vsub(zero, s), zero))
        vstore(o.gradient + i * LANES, vadd(vload(o.gradient + i * LANES), s))


cdef inline void clip_by_value(Optimiser* o) noexcept nogil:
    """g = min(max(g, -clip), clip)"""
    cdef vreal high = vset1(<real>o.clip_value), low = vset1(<real>-o.clip_value), g
    cdef Py_ssize_t i
    for i in range(o.vectors):
        g = vload(o.gradient + i * LANES)
        g = vselect(vless(high, g), high, g)
        vstore(o.gradient + i * LANES, vselect(vless(g, low), low, g))


cdef inline double norm_of(const real* numbers, Py_ssize_t vectors) noexcept nogil:
    cdef double square = 0
    cdef Py_ssize_t i = 0, end
    cdef vreal sums[4]
    cdef vreal g
    cdef int k
    while i < vectors:            # few squares in a sum of single precision
        for k in range(4):
            sums[k] = vset1(0)
        end = min(i + 32, vectors)
        while i + 4 <= end:
            for k in range(4):
                g = vload(numbers + (i + k) * LANES)
                sums[k] = vfma(g, g, sums[k])
            i += 4
        while i < end:
            g = vload(numbers + i * LANES)
            sums[0] = vfma(g, g, sums[0])
            i += 1
        square += vsum(vadd(vadd(sums[0], sums[1]), vadd(sums[2], sums[3])))
    if not isfinite(square):  # squares of a large float32 overflow where its norm does not
        square = 0
        for i in range(vectors * LANES):
            square += <double>numbers[i] * numbers[i]
    return sqrt(square)


cdef inline void clip_by_norm(Optimiser* o, double norm) noexcept nogil:
    """g *= min(1, clip / (|g| + 1e-6))"""
    cdef double factor = o.clip_norm / (norm + 1e-6)
    cdef Py_ssize_t i
    if factor < 1:
        for i in range(o.vectors):
            vstore(o.gradient + i * LANES, vmul(vload(o.gradient + i * LANES), vset1(<real>factor)))


cdef inline void decay_weights(Optimiser* o) noexcept nogil:
    cdef Py_ssize_t i
    cdef vreal p, d, rate = vset1(<real>-o.lr)
    for i in range(o.vectors):
        p = vload(o.parameters + i * LANES)
        d = vmul(vload(o.decay + i * LANES), p)
        if o.rule.decoupled:
            vstore(o.parameters + i * LANES, vfma(rate, d, p))
        else:
            vstore(o.gradient + i * LANES, vadd(vload(o.gradient + i * LANES), d))


cdef inline void update(Optimiser* o) noexcept nogil:
    """One update of the parameters by the gradient."""
    cdef double norm
    if o.l1 != NULL:
        add_l1(o)
    norm = o.norm = norm_of(o.gradient, o.vectors)
    if o.clip_value > 0:
        clip_by_value(o)
        if o.clip_norm > 0:
            norm = norm_of(o.gradient, o.vectors)
    if o.clip_norm > 0:
        clip_by_norm(o, norm)
    if o.decay != NULL:
        decay_weights(o)
    o.updates += 1
    o.rule.step(o)
