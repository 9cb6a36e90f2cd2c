"""What a cell is does not depend on the numbers; and the loop over the vectors of a step, one at a
time, a dual one being two of them. Everything is saved, because dual numbers always go back."""

from rnncore.cells.cell cimport Cell
from rnncore.duals.simd.lanes cimport LANES, real

ctypedef void (*Units)(
    int f, int vectors, bint saving, Py_ssize_t n, const real* a, const real* h_before, real* h,
    real* saved,
) noexcept nogil


cdef inline void forward_of(
    Units units, int f, int other, int usual, Py_ssize_t n, const real* a, const real* h_before,
    real* h, real* saved,
) noexcept nogil:
    cdef Py_ssize_t k = 0
    while k < n:
        if f == other:
            units(other, 1, True, n, a + k, h_before + k, h + k, saved + k)
        else:
            units(usual, 1, True, n, a + k, h_before + k, h + k, saved + k)
        k += LANES
