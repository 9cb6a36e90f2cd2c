"""One step of the LSTM, with gates i f g o as blocks of H rows each.

    forward     a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
                i = s(a_i)   f = s(a_f)   g = tanh(a_g)   o = s(a_o)        s: logistic
                c_t = f * c_{t-1} + i * g
                h_t = o * tanh(c_t)
    backward    dL/da_o     = dL/dh_t * tanh(c_t) o'
                dL/dc_t    += dL/dh_t * o tanh'(c_t)
                dL/da_i     = dL/dc_t * g i'
                dL/da_f     = dL/dc_t * c_{t-1} f'
                dL/da_g     = dL/dc_t * i g'
                dL/dc_{t-1} = dL/dc_t * f
                dL/dh_{t-1} = W_hh^T dL/da_t

All factors but dL/dh_t and dL/dc_t are known on the way forward: they are what is saved.
"""

from rnncore.cells.cell cimport Cell
from rnncore.simd.lanes cimport LANES, real, vfma, vload, vgate, vmul, vreal, vstore, vtanh

# Blocks of saved rows: the factors in da_i, da_f, da_g, da_o, in dc_t, and in dc_{t-1}.
cdef enum:
    OF_I, OF_F, OF_G, OF_O, OF_C, KEPT_C


cdef inline void lstm_forward(
    int _f, Py_ssize_t n, const real* a, const real* _h_before, const real* c_before, real* c,
    real* h, real* saved,
) noexcept nogil:
    cdef Py_ssize_t k = 0
    cdef vreal i, f, g, o, tanh_c, c_old, c_new, slope_i, slope_f, slope_g, slope_o, slope_c
    while k < n:
        i = vgate(vload(a + k), &slope_i)
        f = vgate(vload(a + n + k), &slope_f)
        g = vtanh(vload(a + 2 * n + k), &slope_g)
        o = vgate(vload(a + 3 * n + k), &slope_o)
        c_old = vload(c_before + k)
        # c_t = f * c_{t-1} + i * g,  h_t = o * tanh(c_t)
        c_new = vfma(f, c_old, vmul(i, g))
        tanh_c = vtanh(c_new, &slope_c)
        vstore(c + k, c_new)
        vstore(h + k, vmul(o, tanh_c))
        if saved != NULL:
            vstore(saved + OF_I * n + k, vmul(g, slope_i))
            vstore(saved + OF_F * n + k, vmul(c_old, slope_f))
            vstore(saved + OF_G * n + k, vmul(i, slope_g))
            vstore(saved + OF_O * n + k, vmul(tanh_c, slope_o))
            vstore(saved + OF_C * n + k, vmul(o, slope_c))
            vstore(saved + KEPT_C * n + k, f)
        k += LANES


cdef inline void lstm_backward(
    Py_ssize_t n, const real* saved, real* dh, real* dc, real* da,
) noexcept nogil:
    """dL/da_t, and dc from dL/dc_t, as far as it comes from c_{t+1}, to dL/dc_{t-1}."""
    cdef Py_ssize_t k = 0
    cdef vreal d
    while k < n:
        vstore(da + 3 * n + k, vmul(vload(dh + k), vload(saved + OF_O * n + k)))
        d = vfma(vload(dh + k), vload(saved + OF_C * n + k), vload(dc + k))
        vstore(da + k, vmul(d, vload(saved + OF_I * n + k)))
        vstore(da + n + k, vmul(d, vload(saved + OF_F * n + k)))
        vstore(da + 2 * n + k, vmul(d, vload(saved + OF_G * n + k)))
        vstore(dc + k, vmul(d, vload(saved + KEPT_C * n + k)))
        k += LANES


cdef inline void lstm(Cell* cell) noexcept nogil:
    cell.name, cell.shared, cell.saved, cell.memory = "LSTM", 4, 6, True
    cell.forward, cell.backward = lstm_forward, lstm_backward
