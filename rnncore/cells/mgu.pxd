"""One step of the minimal gated unit, with its gate's product with h_{t-1} apart, as the GRU's.

    forward     f = s(W_if x_t + b_if + W_hf h_{t-1} + b_hf)                 s: logistic
                q = W_hn h_{t-1} + b_hn
                n = phi(W_in x_t + b_in + f * q)                       phi: tanh or relu
                h_t = (1 - f) * h_{t-1} + f * n
    backward    dL/da_n = dL/dh_t * f n'
                dL/da_f = dL/dh_t * ((n - h_{t-1}) + f n' q) f'
                dL/dq   = dL/da_n * f
                dL/dh_{t-1} = dL/dh_t * (1 - f) + W_hh^T [dL/da_f ; dL/dq]

The three blocks of a_t are in the order n f q; the parameters' gates are f n.
"""

from .cell cimport Cell, forward_of
from .elman cimport RELU, TANH, nonlinear
from ..simd.lanes cimport (
    LANES, MANY, real, vfma, vgates_both, vload, vmul, vreal, vstore, vsub,
)

# Blocks of saved rows: the factors in da_n, da_f, in dq, and in dh_{t-1}.
cdef enum:
    OF_N, OF_F, OF_Q, KEPT_H


cdef inline void mgu_units(
    int phi, int vectors, bint saving, Py_ssize_t n, const real* a, const real* h_before, real* h,
    real* saved,
) noexcept nogil:
    """Some vectors of each block, side by side."""
    cdef vreal x[MANY]
    cdef vreal f[MANY]
    cdef vreal not_f[MANY]
    cdef vreal new[MANY]
    cdef vreal slope_f[MANY]
    cdef vreal slope_n[MANY]
    cdef vreal h_old, q, of_n
    cdef Py_ssize_t k
    cdef int v
    for v in range(vectors):
        x[v] = vload(a + n + v * LANES)
    vgates_both(vectors, x, f, slope_f, not_f)
    for v in range(vectors):
        x[v] = vfma(f[v], vload(a + 2 * n + v * LANES), vload(a + v * LANES))
    nonlinear(phi, vectors, x, new, slope_n)
    for v in range(vectors):
        k = v * LANES
        q = vload(a + 2 * n + k)
        h_old = vload(h_before + k)
        # h_t = (1 - f) * h_{t-1} + f * n
        vstore(h + k, vfma(f[v], new[v], vmul(not_f[v], h_old)))
        if saving:
            of_n = vmul(f[v], slope_n[v])
            vstore(saved + OF_N * n + k, of_n)
            vstore(saved + OF_F * n + k, vmul(vfma(of_n, q, vsub(new[v], h_old)), slope_f[v]))
            vstore(saved + OF_Q * n + k, f[v])
            vstore(saved + KEPT_H * n + k, not_f[v])


cdef inline void mgu_forward(
    int phi, Py_ssize_t n, const real* a, const real* h_before, const real* _c_before, real* _c,
    real* h, real* saved,
) noexcept nogil:
    forward_of(mgu_units, phi, RELU, TANH, n, a, h_before, h, saved)


cdef inline void mgu_backward(
    Py_ssize_t n, const real* saved, real* dh, real* _dc, real* da,
) noexcept nogil:
    """dL/da_t, and dh from dL/dh_t to dL/dh_t * (1 - f)."""
    cdef Py_ssize_t k = 0
    cdef vreal d, d_new
    while k < n:
        d = vload(dh + k)
        d_new = vmul(d, vload(saved + OF_N * n + k))
        vstore(da + k, d_new)
        vstore(da + n + k, vmul(d, vload(saved + OF_F * n + k)))
        vstore(da + 2 * n + k, vmul(d_new, vload(saved + OF_Q * n + k)))
        vstore(dh + k, vmul(d, vload(saved + KEPT_H * n + k)))
        k += LANES


cdef inline void mgu(Cell* cell) noexcept nogil:
    cell.name, cell.shared, cell.apart, cell.saved, cell.carries = "MGU", 1, 1, 4, True
    cell.forward, cell.backward = mgu_forward, mgu_backward
