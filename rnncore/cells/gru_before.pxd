"""One step of the GRU, reset before the product.

    forward     r = s(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)                 s: logistic
                z = s(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)
                g = r * h_{t-1}
                n = f(W_in x_t + b_in + W_hn g + b_hn)                   f: tanh or relu
                h_t = (1 - z) * n + z * h_{t-1}
    backward    dL/da_z = dL/dh_t * (h_{t-1} - n) z'
                dL/da_n = dL/dh_t * (1 - z) n'
                dL/dg   = W_hn^T dL/da_n
                dL/da_r = dL/dg * h_{t-1} r'
                dL/dh_{t-1} = dL/dh_t * z + dL/dg * r + [W_hr ; W_hz]^T [dL/da_r ; dL/da_z]

The four blocks of a_t are in the order n r z q, where q = W_hn g + b_hn, and r gives way to g; the
parameters' gates are r z n.
"""

from .cell cimport Cell, forward_of
from .elman cimport RELU, TANH, nonlinear
from ..simd.lanes cimport (
    LANES, MANY, real, vadd, vfma, vgates, vgates_both, vload, vmul, vreal, vstore, vsub,
)

# Blocks of saved rows: the factors in da_n, da_r, da_z, that of dg in dh_{t-1}, g, and the factor
# of dh_t in dh_{t-1}.
cdef enum:
    OF_N, OF_R, OF_Z, OF_G, G, KEPT_H


cdef inline void reset_state(
    Py_ssize_t n, real* a, const real* h_before, real* saved,
) noexcept nogil:
    """g, in the place of a_r."""
    cdef Py_ssize_t k = 0
    cdef vreal x, r, slope, h_old, g
    while k < n:
        h_old = vload(h_before + k)
        x = vload(a + n + k)
        vgates(1, &x, &r, &slope)
        g = vmul(r, h_old)
        vstore(a + n + k, g)
        if saved != NULL:
            vstore(saved + OF_R * n + k, vmul(h_old, slope))
            vstore(saved + OF_G * n + k, r)
            vstore(saved + G * n + k, g)
        k += LANES


cdef inline void gru_before_units(
    int f, int vectors, bint saving, Py_ssize_t n, const real* a, const real* h_before, real* h,
    real* saved,
) noexcept nogil:
    """Some vectors of each block, side by side."""
    cdef vreal x[MANY]
    cdef vreal z[MANY]
    cdef vreal not_z[MANY]
    cdef vreal new[MANY]
    cdef vreal slope_z[MANY]
    cdef vreal slope_n[MANY]
    cdef vreal h_old
    cdef Py_ssize_t k
    cdef int v
    for v in range(vectors):
        x[v] = vload(a + 2 * n + v * LANES)
    vgates_both(vectors, x, z, slope_z, not_z)
    for v in range(vectors):
        x[v] = vadd(vload(a + v * LANES), vload(a + 3 * n + v * LANES))
    nonlinear(f, vectors, x, new, slope_n)
    for v in range(vectors):
        k = v * LANES
        h_old = vload(h_before + k)
        # h_t = (1 - z) * n + z * h_{t-1}
        vstore(h + k, vfma(z[v], h_old, vmul(not_z[v], new[v])))
        if saving:
            vstore(saved + OF_N * n + k, vmul(not_z[v], slope_n[v]))
            vstore(saved + OF_Z * n + k, vmul(vsub(h_old, new[v]), slope_z[v]))
            vstore(saved + KEPT_H * n + k, z[v])


cdef inline void gru_before_forward(
    int f, Py_ssize_t n, const real* a, const real* h_before, const real* _c_before, real* _c,
    real* h, real* saved,
) noexcept nogil:
    forward_of(gru_before_units, f, RELU, TANH, n, a, h_before, h, saved)


cdef inline void gru_before_backward(
    Py_ssize_t n, const real* saved, real* dh, real* _dc, real* da,
) noexcept nogil:
    """dL/da_t but for that of r, and dh from dL/dh_t to dL/dh_t * z."""
    cdef Py_ssize_t k = 0
    cdef vreal d, d_new
    while k < n:
        d = vload(dh + k)
        d_new = vmul(d, vload(saved + OF_N * n + k))
        vstore(da + k, d_new)
        vstore(da + 2 * n + k, vmul(d, vload(saved + OF_Z * n + k)))
        vstore(da + 3 * n + k, d_new)
        vstore(dh + k, vmul(d, vload(saved + KEPT_H * n + k)))
        k += LANES


cdef inline void reset_state_backward(
    Py_ssize_t n, const real* saved, const real* dg, real* dh, real* da,
) noexcept nogil:
    """dL/da_r, and dL/dg * r onto dh."""
    cdef Py_ssize_t k = 0
    cdef vreal d
    while k < n:
        d = vload(dg + k)
        vstore(da + n + k, vmul(d, vload(saved + OF_R * n + k)))
        vstore(dh + k, vfma(d, vload(saved + OF_G * n + k), vload(dh + k)))
        k += LANES


cdef inline void gru_before(Cell* cell) noexcept nogil:
    cell.name, cell.shared, cell.apart, cell.saved, cell.carries = "GRU before", 2, 1, 6, True
    cell.forward, cell.backward = gru_before_forward, gru_before_backward
    cell.gate, cell.gate_backward, cell.gated = reset_state, reset_state_backward, G
