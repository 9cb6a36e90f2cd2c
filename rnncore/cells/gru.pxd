"""One step of the GRU, reset after the product.

    forward     r = s(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)                 s: logistic
                z = s(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)
                q = W_hn h_{t-1} + b_hn
                n = f(W_in x_t + b_in + r * q)                           f: tanh or relu
                h_t = (1 - z) * n + z * h_{t-1}
    backward    dL/da_z = dL/dh_t * (h_{t-1} - n) z'
                dL/da_n = dL/dh_t * (1 - z) n'
                dL/da_r = dL/da_n * q r'
                dL/dq   = dL/da_n * r
                dL/dh_{t-1} = dL/dh_t * z + W_hh^T [dL/da_r ; dL/da_z ; dL/dq]

The four blocks of a_t are in the order n r z q; the parameters' gates are r z n.
"""

from .cell cimport Cell, forward_of, side_by_side
from .elman cimport RELU, TANH, nonlinear
from ..simd.lanes cimport (
    LANES, MANY, real, vfma, vgates, vgates_both, vload, vmul, vreal, vstore, vsub,
)

# Blocks of saved rows: the factors in da_n, da_r, da_z, in dq, and in dh_{t-1}.
cdef enum:
    OF_N, OF_R, OF_Z, OF_Q, KEPT_H


cdef inline void reset(
    int vectors, bint saving, Py_ssize_t n, const real* a, real* saved, vreal* candidate,
) noexcept nogil:
    """W_in x_t + b_in + r * q of some vectors, side by side."""
    cdef vreal x[MANY]
    cdef vreal r[MANY]
    cdef vreal slope[MANY]
    cdef vreal q
    cdef Py_ssize_t k
    cdef int v
    for v in range(vectors):
        x[v] = vload(a + n + v * LANES)
    vgates(vectors, x, r, slope)
    for v in range(vectors):
        k = v * LANES
        q = vload(a + 3 * n + k)
        candidate[v] = vfma(r[v], q, vload(a + k))
        if saving:
            vstore(saved + OF_R * n + k, vmul(q, slope[v]))
            vstore(saved + OF_Q * n + k, r[v])


cdef inline void update(
    int f, int vectors, bint saving, Py_ssize_t n, const real* a, const real* h_before, real* h,
    real* saved, const vreal* candidate,
) noexcept nogil:
    """And from there to h_t."""
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
    nonlinear(f, vectors, candidate, new, slope_n)
    for v in range(vectors):
        k = v * LANES
        h_old = vload(h_before + k)
        # h_t = (1 - z) * n + z * h_{t-1}
        vstore(h + k, vfma(z[v], h_old, vmul(not_z[v], new[v])))
        if saving:
            vstore(saved + OF_N * n + k, vmul(not_z[v], slope_n[v]))
            vstore(saved + OF_Z * n + k, vmul(vsub(h_old, new[v]), slope_z[v]))
            vstore(saved + KEPT_H * n + k, z[v])


# A step of a few vectors goes straight through.  Many go in two passes, with the candidate's a_t
# where h_t will be: a core looks only so far ahead, and has more to do while it waits.


cdef inline void gru_units(
    int f, int vectors, bint saving, Py_ssize_t n, const real* a, const real* h_before, real* h,
    real* saved,
) noexcept nogil:
    cdef vreal candidate[MANY]
    reset(vectors, saving, n, a, saved, candidate)
    update(f, vectors, saving, n, a, h_before, h, saved, candidate)


cdef inline void reset_units(
    int _f, int vectors, bint saving, Py_ssize_t n, const real* a, const real* _h_before, real* h,
    real* saved,
) noexcept nogil:
    cdef vreal candidate[MANY]
    cdef int v
    reset(vectors, saving, n, a, saved, candidate)
    for v in range(vectors):
        vstore(h + v * LANES, candidate[v])


cdef inline void update_units(
    int f, int vectors, bint saving, Py_ssize_t n, const real* a, const real* h_before, real* h,
    real* saved,
) noexcept nogil:
    cdef vreal candidate[MANY]
    cdef int v
    for v in range(vectors):
        candidate[v] = vload(h + v * LANES)
    update(f, vectors, saving, n, a, h_before, h, saved, candidate)


cdef inline void gru_forward(
    int f, Py_ssize_t n, const real* a, const real* h_before, const real* _c_before, real* _c,
    real* h, real* saved,
) noexcept nogil:
    if n <= 2 * LANES:
        forward_of(gru_units, f, RELU, TANH, n, a, h_before, h, saved)
        return
    if saved != NULL:
        side_by_side(reset_units, TANH, True, n, a, h_before, h, saved)
    else:
        side_by_side(reset_units, TANH, False, n, a, h_before, h, h)   # which it does not write
    forward_of(update_units, f, RELU, TANH, n, a, h_before, h, saved)


cdef inline void gru_backward(
    Py_ssize_t n, const real* saved, real* dh, real* _dc, real* da,
) noexcept nogil:
    """dL/da_t, and dh from dL/dh_t to dL/dh_t * z."""
    cdef Py_ssize_t k = 0
    cdef vreal d, d_new
    while k < n:
        d = vload(dh + k)
        d_new = vmul(d, vload(saved + OF_N * n + k))
        vstore(da + k, d_new)
        vstore(da + n + k, vmul(d_new, vload(saved + OF_R * n + k)))
        vstore(da + 2 * n + k, vmul(d, vload(saved + OF_Z * n + k)))
        vstore(da + 3 * n + k, vmul(d_new, vload(saved + OF_Q * n + k)))
        vstore(dh + k, vmul(d, vload(saved + KEPT_H * n + k)))
        k += LANES


cdef inline void gru(Cell* cell) noexcept nogil:
    cell.name, cell.shared, cell.apart, cell.saved, cell.carries = "GRU", 2, 1, 5, True
    cell.forward, cell.backward = gru_forward, gru_backward
