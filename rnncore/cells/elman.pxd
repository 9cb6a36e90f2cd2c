"""One step of the Elman network.

    forward     a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh  [+ W_skip h_{t-s}]
                h_t = f(a_t)
    backward    dL/da_t     = f'(a_t) * dL/dh_t
                dL/dh_{t-1} = W_hh^T dL/da_t   + what reaches h_{t-1} directly

What is saved is f'(a_t).
"""

from .cell cimport Cell
from ..simd.lanes cimport (
    LANES, MANY, real, vgates, vload, vmul, vreal, vrelu, vset1, vstore, vtanhs,
)

cdef enum Nonlinearity:
    TANH, RELU, SIGMOID, IDENTITY


cdef inline void nonlinear(
    int f, int vectors, const vreal* a, vreal* h, vreal* slope,
) noexcept nogil:
    """h = f(a) and slope = f'(a) of so many vectors, a literal up to MANY."""
    cdef int v
    if f == TANH:
        vtanhs(vectors, a, h, slope)
    elif f == SIGMOID:
        vgates(vectors, a, h, slope)
    for v in range(vectors):
        if f == RELU:
            h[v] = vrelu(a[v], &slope[v])
        elif f == IDENTITY:
            h[v], slope[v] = a[v], vset1(1)


cdef inline void nonlinear_vectors(int f, int vectors, real* h, real* slope) noexcept nogil:
    cdef vreal a[MANY]
    cdef vreal out[MANY]
    cdef vreal s[MANY]
    cdef int v
    for v in range(vectors):
        a[v] = vload(h + v * LANES)
    nonlinear(f, vectors, a, out, s)
    for v in range(vectors):
        vstore(h + v * LANES, out[v])
        if slope != NULL:
            vstore(slope + v * LANES, s[v])


cdef inline void nonlinear_rows(int f, Py_ssize_t vectors, real* h, real* slope) noexcept nogil:
    """Four vectors at a time: while one waits others can go on."""
    cdef Py_ssize_t i = 0
    while i + 3 < vectors:
        nonlinear_vectors(f, 4, h + i * LANES, NULL if slope == NULL else slope + i * LANES)
        i += 4
    while i < vectors:
        nonlinear_vectors(f, 1, h + i * LANES, NULL if slope == NULL else slope + i * LANES)
        i += 1


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
