"""One step of the Elman network.

    forward     a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh  [+ W_skip h_{t-s}]
                h_t = f(a_t)
    backward    dL/da_t     = f'(a_t) * dL/dh_t
                dL/dh_{t-1} = W_hh^T dL/da_t   + what reaches h_{t-1} directly

What is saved is f'(a_t).
"""

from .cell cimport Cell
from ..simd.lanes cimport (
    LANES, real, vgate, vload, vmul, vreal, vrelu, vset1, vstore, vtanh,
)

cdef enum Nonlinearity:
    TANH, RELU, SIGMOID, IDENTITY


cdef inline vreal nonlinear(int f, vreal a, vreal* slope) noexcept nogil:
    """f(a) and *slope = f'(a)."""
    if f == TANH:
        return vtanh(a, slope)
    if f == RELU:
        return vrelu(a, slope)
    if f == SIGMOID:
        return vgate(a, slope)
    slope[0] = vset1(1)
    return a


cdef inline void nonlinear_rows(int f, Py_ssize_t vectors, real* h, real* slope) noexcept nogil:
    cdef Py_ssize_t i
    cdef vreal s
    for i in range(vectors):
        vstore(h + i * LANES, nonlinear(f, vload(h + i * LANES), &s))
        if slope != NULL:
            vstore(slope + i * LANES, s)


cdef inline void nonlinear_rows_of(
    int f, Py_ssize_t vectors, real* h, real* slope,
) noexcept nogil:
    if slope == NULL:  # known to the compiler, which then forms none
        nonlinear_rows(f, vectors, h, NULL)
    else:
        nonlinear_rows(f, vectors, h, slope)


cdef inline void elman_units(
    int f, Py_ssize_t vectors, real* h, real* slope,
) noexcept nogil:
    """a_t to h_t = f(a_t) in place, so many vectors of it; slope = f'(a_t), unless NULL."""
    if f == TANH:
        nonlinear_rows_of(TANH, vectors, h, slope)
    elif f == RELU:
        nonlinear_rows_of(RELU, vectors, h, slope)
    elif f == SIGMOID:
        nonlinear_rows_of(SIGMOID, vectors, h, slope)
    else:
        nonlinear_rows_of(IDENTITY, vectors, h, slope)


cdef inline void elman_forward(
    int f, Py_ssize_t n, const real* _a, const real* _h_before, const real* _c_before, real* _c,
    real* h, real* saved,
) noexcept nogil:
    """a_t is where h_t goes."""
    elman_units(f, n // LANES, h, saved)


cdef inline void elman_backward(
    Py_ssize_t n, const real* saved, real* dh, real* _dc, real* da,
) noexcept nogil:
    """dL/da_t = f'(a_t) * dL/dh_t"""
    cdef Py_ssize_t i
    for i in range(n // LANES):
        vstore(da + i * LANES, vmul(vload(saved + i * LANES), vload(dh + i * LANES)))


cdef inline void elman(Cell* cell) noexcept nogil:
    cell.name, cell.shared, cell.saved, cell.plain = "RNN", 1, 1, True
    cell.forward, cell.backward = elman_forward, elman_backward
