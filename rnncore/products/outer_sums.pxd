"""Gradients with sequences or models in lanes whose rows do not fill vectors: a sum for every
entry, formed in the lanes and then across them, or kept where every lane has a weight of its own.

As many sums as fit the registers are formed at a time: each addition to one waits for the one
before it.
"""

from rnncore.products.lanes_of_sequences cimport MOST_SUMS
from rnncore.products.weights cimport add_sum
from rnncore.simd.lanes cimport LANES, real, vadd, vfma, vload, vreal, vset1

cdef enum:
    MOST_COLUMNS = 6          # of a tile of two rows

# Where the entries of an outer product are in a gradient, each of `given` reals: those of the first
# columns from one entry on, a row every so many; those of the others, and of a column of ones,
# from others.
cdef struct Entries:
    real* grad
    int given
    Py_ssize_t left, left_stride
    Py_ssize_t split          # columns that are the first
    Py_ssize_t right, right_stride
    bint ones                 # whether there is such a column: the gradient of a bias
    real* bias                # where the entries of that are


cdef inline Entries entries_of(
    real* grad, int given, Py_ssize_t first, Py_ssize_t stride, Py_ssize_t columns,
) noexcept nogil:
    """Those of a matrix, without a bias."""
    cdef Entries to
    to.grad, to.given, to.left, to.left_stride, to.split = grad, given, first, stride, columns
    to.right, to.right_stride, to.ones, to.bias = first, stride, False, grad
    return to


cdef inline void outer_tile(
    int rows, int columns, bint ones, const Entries* to, Py_ssize_t i0, Py_ssize_t j0,
    int vectors, int row, Py_ssize_t steps, const real* a, Py_ssize_t a_step, const real* u,
    Py_ssize_t u_step,
) noexcept nogil:
    """Rows from i0 on, columns from j0 on; rows, columns and ones: literals."""
    cdef vreal sums[MOST_SUMS]
    cdef vreal left[2]
    cdef vreal right
    cdef Py_ssize_t _t, lanes = row * LANES, width = columns + ones
    cdef int i, j, v
    a += i0 * lanes
    u += j0 * lanes
    for i in range(rows * (columns + ones)):
        sums[i] = vset1(0)
    for _t in range(steps):
        for v in range(vectors):
            for i in range(rows):
                left[i] = vload(a + i * lanes + v * LANES)
                if ones:
                    sums[i * width + columns] = vadd(sums[i * width + columns], left[i])
            for j in range(columns):
                right = vload(u + j * lanes + v * LANES)
                for i in range(rows):
                    sums[i * width + j] = vfma(left[i], right, sums[i * width + j])
        a += a_step
        u += u_step
    for i in range(rows):
        for j in range(columns):
            if j0 + j < to.split:
                add_sum(
                    to.given, to.grad, to.left + (i0 + i) * to.left_stride + j0 + j,
                    sums[i * width + j],
                )
            else:
                add_sum(
                    to.given, to.grad,
                    to.right + (i0 + i) * to.right_stride + j0 + j - to.split,
                    sums[i * width + j],
                )
        if ones:
            add_sum(to.given, to.bias, i0 + i, sums[i * width + columns])


cdef inline void outer_last(
    int rows, int columns, const Entries* to, Py_ssize_t i0, Py_ssize_t j0, int vectors, int row,
    Py_ssize_t steps, const real* a, Py_ssize_t a_step, const real* u, Py_ssize_t u_step,
) noexcept nogil:
    """So many columns, of ones perhaps the last."""
    if to.ones:
        outer_tile(
            rows, columns - 1, True, to, i0, j0, vectors, row, steps, a, a_step, u, u_step
        )
    else:
        outer_tile(rows, columns, False, to, i0, j0, vectors, row, steps, a, a_step, u, u_step)


cdef inline void outer_rows(
    int rows, const Entries* to, Py_ssize_t i0, int vectors, int row, Py_ssize_t steps,
    Py_ssize_t n_u, const real* a, Py_ssize_t a_step, const real* u, Py_ssize_t u_step,
) noexcept nogil:
    """Some rows, in as few tiles as there can be, of much the same width."""
    cdef Py_ssize_t j = 0, left = n_u + to.ones
    cdef Py_ssize_t tiles = (left + MOST_COLUMNS - 1) // MOST_COLUMNS
    cdef Py_ssize_t columns
    while tiles > 1:
        columns = (left + tiles - 1) // tiles
        if columns == 6:
            outer_tile(rows, 6, False, to, i0, j, vectors, row, steps, a, a_step, u, u_step)
        elif columns == 5:
            outer_tile(rows, 5, False, to, i0, j, vectors, row, steps, a, a_step, u, u_step)
        else:
            outer_tile(rows, 4, False, to, i0, j, vectors, row, steps, a, a_step, u, u_step)
        j += columns
        left -= columns
        tiles -= 1
    if left == 6:
        outer_last(rows, 6, to, i0, j, vectors, row, steps, a, a_step, u, u_step)
    elif left == 5:
        outer_last(rows, 5, to, i0, j, vectors, row, steps, a, a_step, u, u_step)
    elif left == 4:
        outer_last(rows, 4, to, i0, j, vectors, row, steps, a, a_step, u, u_step)
    elif left == 3:
        outer_last(rows, 3, to, i0, j, vectors, row, steps, a, a_step, u, u_step)
    elif left == 2:
        outer_last(rows, 2, to, i0, j, vectors, row, steps, a, a_step, u, u_step)
    elif left == 1:
        outer_last(rows, 1, to, i0, j, vectors, row, steps, a, a_step, u, u_step)


cdef inline void outer_sum(
    const Entries* to, int vectors, int row, Py_ssize_t steps, Py_ssize_t n_a, Py_ssize_t n_u,
    const real* a, Py_ssize_t a_step, const real* u, Py_ssize_t u_step,
) noexcept nogil:
    """Entry i, j += sum over steps and lanes of a[t, i] u[t, j], u with a column of ones perhaps;
    with given > 1 a vector of each entry: over steps and vectors.

    a (n_a) and u (n_u): rows of `row` vectors of which so many are summed, a step every a_step and
    u_step reals (0 for the same rows at every step).
    """
    cdef Py_ssize_t i = 0
    while i + 1 < n_a:
        outer_rows(2, to, i, vectors, row, steps, n_u, a, a_step, u, u_step)
        i += 2
    if i < n_a:
        outer_rows(1, to, i, vectors, row, steps, n_u, a, a_step, u, u_step)


cdef inline void row_sums_tile(
    int given, int rows, int vectors, int row, Py_ssize_t steps, real* grad, const real* a,
    Py_ssize_t a_step,
) noexcept nogil:
    cdef vreal sums[8]
    cdef Py_ssize_t _t
    cdef int i, v
    for i in range(rows):
        sums[i] = vset1(0)
    for _t in range(steps):
        for v in range(vectors):
            for i in range(rows):
                sums[i] = vadd(sums[i], vload(a + (i * row + v) * LANES))
        a += a_step
    for i in range(rows):
        add_sum(given, grad, i, sums[i])


cdef inline void row_sums(
    int given, int vectors, int row, Py_ssize_t steps, real* grad, Py_ssize_t n_a, const real* a,
    Py_ssize_t a_step,
) noexcept nogil:
    """grad[i] += sum over steps and lanes of a[t, i]: the gradient of a bias."""
    cdef Py_ssize_t i = 0, lanes = row * LANES
    while i < n_a:
        if n_a - i >= 8:
            row_sums_tile(given, 8, vectors, row, steps, grad + i * given, a + i * lanes, a_step)
            i += 8
        elif n_a - i >= 4:
            row_sums_tile(given, 4, vectors, row, steps, grad + i * given, a + i * lanes, a_step)
            i += 4
        elif n_a - i >= 2:
            row_sums_tile(given, 2, vectors, row, steps, grad + i * given, a + i * lanes, a_step)
            i += 2
        else:
            row_sums_tile(given, 1, vectors, row, steps, grad + i * given, a + i * lanes, a_step)
            i += 1
