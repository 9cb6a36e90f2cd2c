"""Update rules on one flat parameter vector, in PyTorch's formulas.

    sgd        p -= lr g
    momentum   v = mu v + g;  p -= lr v
    adam       m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
               p -= lr / (1 - b1^n) m / (sqrt(v / (1 - b2^n)) + eps)      n-th update

All vectors are aligned and padded to whole vectors with zeros.
"""

from libc.math cimport isfinite, pow, sqrt

from rnncore.lanes cimport (
    LANES, real, vadd, vdiv, vfma, vless, vload, vmul, vreal, vselect, vset1, vsqrt,
    vstore, vsub, vsum,
)

cdef enum Rule:
    SGD, MOMENTUM, ADAM

cdef struct Optimiser:
    Rule rule
    double lr
    double momentum
    double beta1, beta2, eps
    double clip_norm          # largest norm of the gradient, or 0
    double clip_value         # largest entry of the gradient, or 0
    long long updates         # done so far
    Py_ssize_t vectors        # of lanes in each of the following
    real* parameters
    real* gradient
    real* first               # momentum; adam's m
    real* second              # adam's v


cdef inline void clip_by_value(Optimiser* o) noexcept nogil:
    """g = min(max(g, -clip), clip)"""
    cdef vreal high = vset1(<real>o.clip_value), low = vset1(<real>-o.clip_value), g
    cdef Py_ssize_t i
    for i in range(o.vectors):
        g = vload(o.gradient + i * LANES)
        g = vselect(vless(high, g), high, g)
        vstore(o.gradient + i * LANES, vselect(vless(g, low), low, g))


cdef inline void clip_by_norm(Optimiser* o) noexcept nogil:
    """g *= min(1, clip / (|g| + 1e-6))"""
    cdef double square = 0, factor
    cdef Py_ssize_t i
    cdef vreal g
    for i in range(o.vectors):
        g = vload(o.gradient + i * LANES)
        square += vsum(vmul(g, g))
    if not isfinite(square):  # squares of a large float32 overflow where its norm does not
        square = 0
        for i in range(o.vectors * LANES):
            square += <double>o.gradient[i] * o.gradient[i]
    factor = o.clip_norm / (sqrt(square) + 1e-6)
    if factor < 1:
        for i in range(o.vectors):
            vstore(o.gradient + i * LANES, vmul(vload(o.gradient + i * LANES), vset1(<real>factor)))


cdef inline void update(Optimiser* o) noexcept nogil:
    """One update of the parameters by the gradient, clipped first if so wanted."""
    cdef Py_ssize_t i
    cdef vreal p, g, m, v, rate, scale, mu = vset1(<real>o.momentum), b2 = vset1(<real>o.beta2)
    cdef vreal new1 = vset1(<real>(1 - o.beta1)), new2 = vset1(<real>(1 - o.beta2))
    if o.clip_value > 0:
        clip_by_value(o)
    if o.clip_norm > 0:
        clip_by_norm(o)
    o.updates += 1
    if o.rule == SGD:
        rate = vset1(<real>-o.lr)
        for i in range(o.vectors):
            p = vload(o.parameters + i * LANES)
            vstore(o.parameters + i * LANES, vfma(rate, vload(o.gradient + i * LANES), p))
    elif o.rule == MOMENTUM:
        rate = vset1(<real>-o.lr)
        for i in range(o.vectors):
            v = vfma(mu, vload(o.first + i * LANES), vload(o.gradient + i * LANES))
            vstore(o.first + i * LANES, v)
            p = vload(o.parameters + i * LANES)
            vstore(o.parameters + i * LANES, vfma(rate, v, p))
    else:
        rate = vset1(<real>(-o.lr / (1 - pow(o.beta1, <double>o.updates))))
        scale = vset1(<real>(1 / sqrt(1 - pow(o.beta2, <double>o.updates))))
        for i in range(o.vectors):
            g = vload(o.gradient + i * LANES)
            m = vload(o.first + i * LANES)
            m = vfma(new1, vsub(g, m), m)
            v = vmul(b2, vload(o.second + i * LANES))
            v = vfma(vmul(new2, g), g, v)
            vstore(o.first + i * LANES, m)
            vstore(o.second + i * LANES, v)
            g = vfma(vsqrt(v), scale, vset1(<real>o.eps))
            p = vload(o.parameters + i * LANES)
            vstore(o.parameters + i * LANES, vfma(rate, vdiv(m, g), p))
