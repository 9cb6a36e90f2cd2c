"""One update with penalties and clipping, which are the same for every rule.

    g += g of all that share a parameter's value; these are frozen
    g = 0 where a parameter is frozen
    g += l1 sign(p)                                     the slope of l1 |p|
    g = min(max(g, -clip_value), clip_value)
    g *= min(1, clip_norm / (|g| + 1e-6))
    g += d p,  or of a decoupled rule  p -= lr d p      d: weight decay
    the rule's own step
    p = that whose value a parameter shares
"""

from libc.math cimport isfinite, sqrt

from rnncore.simd.lanes cimport (
    LANES, real, vadd, vfma, vless, vload, vload_any, vmul, vreal, vselect, vset1, vstore,
    vstore_any, vsub, vsum,
)
from rnncore.optimisers.optimiser cimport Optimiser


cdef inline void gather_tied(Optimiser* o) noexcept nogil:
    """The gradient of a value that several parameters share is the sum of theirs."""
    cdef Py_ssize_t i, lane, step = o.stride if o.each else 1
    for i in range(o.tied):
        if o.leader[i] != i:
            for lane in range(LANES if o.each else 1):
                o.gradient[o.leader[i] * step + lane] += o.gradient[i * step + lane]


cdef inline void spread_tied(Optimiser* o) noexcept nogil:
    """The value itself, to all of them."""
    cdef Py_ssize_t i, lane, step = o.stride if o.each else 1
    for i in range(o.tied):
        if o.leader[i] != i:
            for lane in range(LANES if o.each else 1):
                o.parameters[i * step + lane] = o.parameters[o.leader[i] * step + lane]


cdef inline void freeze(Optimiser* o) noexcept nogil:
    """No gradient of parameters that may not change; they have no penalties either."""
    cdef Py_ssize_t i
    cdef vreal free
    for i in range(o.vectors):
        free = vload(o.free + i * o.stride)
        vstore(o.gradient + i * o.stride, vmul(vload(o.gradient + i * o.stride), free))


cdef inline void add_l1(Optimiser* o) noexcept nogil:
    """g += l1 sign(p), with 0 as the sign of 0"""
    cdef Py_ssize_t i
    cdef vreal p, s, zero = vset1(0)
    for i in range(o.vectors):
        p = vload(o.parameters + i * o.stride)
        s = vload(o.l1 + i * o.stride)
        s = vselect(vless(zero, p), s, vselect(vless(p, zero), vsub(zero, s), zero))
        vstore(o.gradient + i * o.stride, vadd(vload(o.gradient + i * o.stride), s))


cdef inline void clip_by_value(Optimiser* o) noexcept nogil:
    """g = min(max(g, -clip), clip)"""
    cdef vreal high = vload_any(o.clip_value), low = vsub(vset1(0), high), g
    cdef Py_ssize_t i
    for i in range(o.vectors):
        g = vload(o.gradient + i * o.stride)
        g = vselect(vless(high, g), high, g)
        vstore(o.gradient + i * o.stride, vselect(vless(g, low), low, g))


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


cdef inline void norms_by_lane(
    const real* numbers, Py_ssize_t vectors, Py_ssize_t stride, double* norms,
) noexcept nogil:
    """`norm_of` the numbers in each lane."""
    cdef real squares[LANES]
    cdef Py_ssize_t i = 0, end
    cdef vreal g, sums
    cdef int lane
    for lane in range(LANES):
        norms[lane] = 0
    while i < vectors:
        sums = vset1(0)
        end = min(i + 32, vectors)
        while i < end:
            g = vload(numbers + i * stride)
            sums = vfma(g, g, sums)
            i += 1
        vstore_any(squares, sums)
        for lane in range(LANES):
            norms[lane] += squares[lane]
    for lane in range(LANES):
        if not isfinite(norms[lane]):
            norms[lane] = 0
            for i in range(vectors):
                norms[lane] += <double>numbers[i * stride + lane] * numbers[i * stride + lane]
        norms[lane] = sqrt(norms[lane])


cdef inline void find_norms(const Optimiser* o, double* norms) noexcept nogil:
    """The norm of the gradient; of each model where every lane has one, else the first."""
    if o.each:
        norms_by_lane(o.gradient, o.vectors, o.stride, norms)
    else:
        norms[0] = norm_of(o.gradient, o.vectors)


cdef inline void clip_by_norm(Optimiser* o, const double* norms) noexcept nogil:
    """g *= min(1, clip / (|g| + 1e-6))"""
    cdef real factors[LANES]
    cdef double factor
    cdef bint clips = False
    cdef vreal g
    cdef Py_ssize_t i
    cdef int lane, k
    for lane in range(LANES):
        k = lane if o.each else 0
        factor = o.of[k].clip_norm / (norms[k] + 1e-6) if o.of[k].clip_norm > 0 else 1
        factors[lane] = <real>(factor if factor < 1 else 1)
        clips = clips or factor < 1
    if clips:
        for i in range(o.vectors):
            g = vload(o.gradient + i * o.stride)
            vstore(o.gradient + i * o.stride, vmul(g, vload_any(factors)))


cdef inline void decay_weights(Optimiser* o) noexcept nogil:
    cdef Py_ssize_t i
    cdef vreal p, d, rate = vsub(vset1(0), vload_any(o.lr))
    for i in range(o.vectors):
        p = vload(o.parameters + i * o.stride)
        d = vmul(vload(o.decay + i * o.stride), p)
        if o.rule.decoupled:
            vstore(o.parameters + i * o.stride, vfma(rate, d, p))
        else:
            vstore(o.gradient + i * o.stride, vadd(vload(o.gradient + i * o.stride), d))


cdef inline void update(Optimiser* o) noexcept nogil:
    """One update of the parameters by the gradient."""
    cdef double norms[LANES]
    cdef int lane, models = LANES if o.each else 1
    if o.leader != NULL:
        gather_tied(o)
    if o.free != NULL:
        freeze(o)
    if o.l1 != NULL:
        add_l1(o)
    find_norms(o, norms)
    for lane in range(models):
        o.of[lane].norm = norms[lane]
        o.of[lane].updates += 1
    if o.clips_values:
        clip_by_value(o)
        if o.clips_norms:
            find_norms(o, norms)
    if o.clips_norms:
        clip_by_norm(o, norms)
    if o.decay != NULL:
        decay_weights(o)
    o.rule.step(o)
    if o.leader != NULL:
        spread_tied(o)
