"""Update rules on one flat parameter vector, in PyTorch's formulas.

    before     g += l1 sign(p)                                     the slope of l1 |p|
               g = min(max(g, -clip_value), clip_value)
               g *= min(1, clip_norm / (|g| + 1e-6))
               g += d p,  but of adamw  p -= lr d p                d: weight decay
    sgd        p -= lr g
    momentum   v = mu v + g;  p -= lr v
    nesterov   v = mu v + g;  p -= lr (g + mu v)
    rmsprop    v = a v + (1 - a) g^2;  p -= lr g / (sqrt(v) + eps)
    adam(w)    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
               p -= lr / (1 - b1^n) m / (sqrt(v / (1 - b2^n)) + eps)      n-th update

All vectors are aligned and padded to whole vectors with zeros.
"""

from libc.math cimport isfinite, pow, sqrt

from rnncore.lanes cimport (
    LANES, real, vadd, vdiv, vfma, vless, vload, vmul, vreal, vselect, vset1, vsqrt,
    vstore, vsub, vsum,
)

cdef enum Rule:
    SGD, MOMENTUM, NESTEROV, RMSPROP, ADAM, ADAMW

cdef struct Optimiser:
    Rule rule
    double lr
    double momentum
    double alpha
    double beta1, beta2, eps
    double clip_norm          # largest norm of the gradient, or 0
    double clip_value         # largest entry of the gradient, or 0
    double norm               # of the last gradient before clipping
    long long updates         # done so far
    Py_ssize_t vectors        # of lanes in each of the following
    real* parameters
    real* gradient
    real* first               # momentum; adam's m
    real* second              # the squares' mean of rmsprop and adam
    real* decay               # of each parameter; NULL: none
    real* l1                  # of each parameter; NULL: none


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
    cdef Py_ssize_t i
    cdef vreal g
    for i in range(vectors):
        g = vload(numbers + i * LANES)
        square += vsum(vmul(g, g))
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
        if o.rule == ADAMW:
            vstore(o.parameters + i * LANES, vfma(rate, d, p))
        else:
            vstore(o.gradient + i * LANES, vadd(vload(o.gradient + i * LANES), d))


cdef inline void descend(Optimiser* o) noexcept nogil:
    """sgd, momentum, nesterov"""
    cdef Py_ssize_t i
    cdef vreal p, g, v, rate = vset1(<real>-o.lr), mu = vset1(<real>o.momentum)
    for i in range(o.vectors):
        g = vload(o.gradient + i * LANES)
        if o.rule != SGD:
            v = vfma(mu, vload(o.first + i * LANES), g)
            vstore(o.first + i * LANES, v)
            g = vfma(mu, v, g) if o.rule == NESTEROV else v
        p = vload(o.parameters + i * LANES)
        vstore(o.parameters + i * LANES, vfma(rate, g, p))


cdef inline void descend_scaled(Optimiser* o) noexcept nogil:
    """rmsprop, adam, adamw"""
    cdef bint adam = o.rule != RMSPROP
    cdef double kept = o.beta2 if adam else o.alpha, n = <double>o.updates
    cdef vreal old2 = vset1(<real>kept), new2 = vset1(<real>(1 - kept))
    cdef vreal new1 = vset1(<real>(1 - o.beta1)), rate = vset1(<real>-o.lr), scale = vset1(1)
    cdef vreal p, g, m, v
    cdef Py_ssize_t i
    if adam:
        rate = vset1(<real>(-o.lr / (1 - pow(o.beta1, n))))
        scale = vset1(<real>(1 / sqrt(1 - pow(o.beta2, n))))
    for i in range(o.vectors):
        g = vload(o.gradient + i * LANES)
        v = vmul(old2, vload(o.second + i * LANES))
        v = vfma(vmul(new2, g), g, v)
        vstore(o.second + i * LANES, v)
        if adam:
            m = vload(o.first + i * LANES)
            g = vfma(new1, vsub(g, m), m)
            vstore(o.first + i * LANES, g)
        v = vfma(vsqrt(v), scale, vset1(<real>o.eps))
        p = vload(o.parameters + i * LANES)
        vstore(o.parameters + i * LANES, vfma(rate, vdiv(g, v), p))


cdef inline void update(Optimiser* o) noexcept nogil:
    """One update of the parameters by the gradient, with penalties and clipping."""
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
    if o.rule == SGD or o.rule == MOMENTUM or o.rule == NESTEROV:
        descend(o)
    else:
        descend_scaled(o)
