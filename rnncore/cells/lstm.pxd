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

from .cell cimport Cell
from ..simd.lanes cimport LANES, MANY, real, vfma, vgates, vload, vmul, vreal, vstore, vtanhs

# Blocks of saved rows: the factors in da_i, da_f, da_g, da_o, in dc_t, and in dc_{t-1}.
cdef enum:
    OF_I, OF_F, OF_G, OF_O, OF_C, KEPT_C


cdef inline void remember(
    int vectors, bint saving, Py_ssize_t n, const real* a, const real* c_before, real* c,
    real* saved, vreal* c_new,
) noexcept nogil:
    """c_t of some vectors, side by side."""
    cdef vreal x[MANY]
    cdef vreal i[MANY]
    cdef vreal f[MANY]
    cdef vreal g[MANY]
    cdef vreal slope_i[MANY]
    cdef vreal slope_f[MANY]
    cdef vreal slope_g[MANY]
    cdef vreal c_old
    cdef Py_ssize_t k
    cdef int v
    for v in range(vectors):
        x[v] = vload(a + v * LANES)
    vgates(vectors, x, i, slope_i)
    for v in range(vectors):
        x[v] = vload(a + n + v * LANES)
    vgates(vectors, x, f, slope_f)
    for v in range(vectors):
        x[v] = vload(a + 2 * n + v * LANES)
    vtanhs(vectors, x, g, slope_g)
    for v in range(vectors):
        k = v * LANES
        c_old = vload(c_before + k)
        # c_t = f * c_{t-1} + i * g
        c_new[v] = vfma(f[v], c_old, vmul(i[v], g[v]))
        vstore(c + k, c_new[v])
        if saving:
            vstore(saved + OF_I * n + k, vmul(g[v], slope_i[v]))
            vstore(saved + OF_F * n + k, vmul(c_old, slope_f[v]))
            vstore(saved + OF_G * n + k, vmul(i[v], slope_g[v]))
            vstore(saved + KEPT_C * n + k, f[v])


cdef inline void put_out(
    int vectors, bint saving, Py_ssize_t n, const real* a, real* h, real* saved,
    const vreal* c_new,
) noexcept nogil:
    """And h_t."""
    cdef vreal x[MANY]
    cdef vreal o[MANY]
    cdef vreal tanh_c[MANY]
    cdef vreal slope_o[MANY]
    cdef vreal slope_c[MANY]
    cdef Py_ssize_t k
    cdef int v
    for v in range(vectors):
        x[v] = vload(a + 3 * n + v * LANES)
    vgates(vectors, x, o, slope_o)
    vtanhs(vectors, c_new, tanh_c, slope_c)
    for v in range(vectors):
        k = v * LANES
        # h_t = o * tanh(c_t)
        vstore(h + k, vmul(o[v], tanh_c[v]))
        if saving:
            vstore(saved + OF_O * n + k, vmul(tanh_c[v], slope_o[v]))
            vstore(saved + OF_C * n + k, vmul(o[v], slope_c[v]))


# A step of a few vectors goes straight through.  Many go in two passes: a core looks only so far
# ahead, and has more to do while it waits.


cdef inline void lstm_units(
    int vectors, bint first, bint second, bint saving, Py_ssize_t n, const real* a,
    const real* c_before, real* c, real* h, real* saved,
) noexcept nogil:
    """The first pass, the second, or both."""
    cdef vreal c_new[MANY]
    cdef int v
    if first:
        remember(vectors, saving, n, a, c_before, c, saved, c_new)
    else:
        for v in range(vectors):
            c_new[v] = vload(c + v * LANES)
    if second:
        put_out(vectors, saving, n, a, h, saved, c_new)


cdef inline void lstm_pass(
    bint first, bint second, bint saving, Py_ssize_t n, const real* a, const real* c_before,
    real* c, real* h, real* saved,
) noexcept nogil:
    """All vectors, two at a time: while one waits for its gates the other can go on."""
    cdef Py_ssize_t k = 0
    while k + LANES < n:
        lstm_units(2, first, second, saving, n, a + k, c_before + k, c + k, h + k, saved + k)
        k += 2 * LANES
    if k < n:
        lstm_units(1, first, second, saving, n, a + k, c_before + k, c + k, h + k, saved + k)


cdef inline void lstm_blocks(
    bint saving, Py_ssize_t n, const real* a, const real* c_before, real* c, real* h, real* saved,
) noexcept nogil:
    if n <= 2 * LANES:
        lstm_pass(True, True, saving, n, a, c_before, c, h, saved)
    else:
        lstm_pass(True, False, saving, n, a, c_before, c, h, saved)
        lstm_pass(False, True, saving, n, a, c_before, c, h, saved)


cdef inline void lstm_forward(
    int _f, Py_ssize_t n, const real* a, const real* _h_before, const real* c_before, real* c,
    real* h, real* saved,
) noexcept nogil:
    if saved != NULL:
        lstm_blocks(True, n, a, c_before, c, h, saved)
    else:
        lstm_blocks(False, n, a, c_before, c, h, h)   # which is not written through that


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
