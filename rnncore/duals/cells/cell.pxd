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
    if f == other:
        side_by_side(units, other, True, n, a, h_before, h, saved)
    else:
        side_by_side(units, usual, True, n, a, h_before, h, saved)


cdef inline void side_by_side(
    Units units, int f, bint _saving, Py_ssize_t n, const real* a, const real* h_before, real* h,
    real* saved,
) noexcept nogil:
    cdef Py_ssize_t k = 0
    while k < n:
        units(f, 1, True, n, a + k, h_before + k, h + k, saved + k)
        k += LANES
