"""The three products of BPTT on lanes.

    forward    a  = W u + b          affine, W packed
    backward   du = W^T da           affine, W^T packed
    gradient   dW = sum_t da_t u_t^T outer_sum

A matrix of lanes holds its rows one after another, each row ``vectors`` vectors
long (one real per sequence of the block).  Weights are broadcast from memory.

Every product works in register tiles: the sums of a few rows stay in registers
while the inner index runs.  Each sum is formed in the order of the inner index
whatever tile it falls into, so a sequence gets the same bits in any block.
"""

from rnncore.lanes cimport LANES, TILE_SUMS, real, vfma, vload, vreal, vset1, vstore, vsum


cdef inline Py_ssize_t tile_rows(Py_ssize_t left, int vectors) noexcept nogil:
    """Rows of the next tile when `left` rows are left: a full tile, then powers of two."""
    cdef Py_ssize_t rows = TILE_SUMS // vectors
    if rows > 8:
        rows = 8
    while rows > left:
        rows //= 2
    return rows


cdef inline void pack(
    real* packed, Py_ssize_t columns, Py_ssize_t first, int vectors,
    const real* matrix, Py_ssize_t n_out, Py_ssize_t n_in,
    Py_ssize_t out_stride, Py_ssize_t in_stride,
) noexcept nogil:
    """Copy matrix[i * out_stride + j * in_stride] into columns first.. of `packed`,
    the (n_out, columns) matrix in the order in which the tiles of `affine` read it:
    tile after tile of rows, in each tile column after column."""
    cdef Py_ssize_t i = 0, j, k, rows
    cdef real* tile
    while i < n_out:
        rows = tile_rows(n_out - i, vectors)
        tile = packed + i * columns + first * rows
        for k in range(rows):
            for j in range(n_in):
                tile[j * rows + k] = matrix[(i + k) * out_stride + j * in_stride]
        i += rows


cdef inline void affine_tile(
    int rows, int vectors, bint onto,
    real* out, const real* w, const real* bias, const real* u, Py_ssize_t n_in,
) noexcept nogil:
    cdef vreal sums[16]
    cdef vreal x[4]
    cdef vreal weight
    cdef Py_ssize_t _j
    cdef int i, v
    for i in range(rows):
        for v in range(vectors):
            if onto:
                sums[i * vectors + v] = vload(out + (i * vectors + v) * LANES)
            else:
                sums[i * vectors + v] = vset1(bias[i])
    for _j in range(n_in):
        for v in range(vectors):
            x[v] = vload(u + v * LANES)
        for i in range(rows):
            weight = vset1(w[i])
            for v in range(vectors):
                sums[i * vectors + v] = vfma(weight, x[v], sums[i * vectors + v])
        u += vectors * LANES
        w += rows
    for i in range(rows):
        for v in range(vectors):
            vstore(out + (i * vectors + v) * LANES, sums[i * vectors + v])


cdef inline void affine_rows(
    int vectors, real* out, const real* w, const real* bias, const real* u,
    Py_ssize_t n_out, Py_ssize_t n_in, bint onto,
) noexcept nogil:
    cdef Py_ssize_t i = 0, rows
    while i < n_out:
        rows = tile_rows(n_out - i, vectors)
        if 8 * vectors <= TILE_SUMS and rows == 8:
            affine_tile(8, vectors, onto, out, w, bias, u, n_in)
        elif 4 * vectors <= TILE_SUMS and rows == 4:
            affine_tile(4, vectors, onto, out, w, bias, u, n_in)
        elif rows == 2:
            affine_tile(2, vectors, onto, out, w, bias, u, n_in)
        else:
            affine_tile(1, vectors, onto, out, w, bias, u, n_in)
        i += rows
        out += rows * vectors * LANES
        w += rows * n_in
        bias += rows


cdef inline void affine(
    int vectors, real* out, const real* w, const real* bias, const real* u,
    Py_ssize_t n_out, Py_ssize_t n_in, bint onto,
) noexcept nogil:
    """out[i] = start + sum_j W[i, j] u[j], where start is out[i] itself with `onto`,
    bias[i] without.

    out (n_out, lanes), u (n_in, lanes): aligned, apart from each other;
    w: (n_out, n_in) packed; bias (n_out), read only without `onto`.
    """
    # With the number of vectors known, the compiler unrolls the tiles.
    if vectors == 1:
        affine_rows(1, out, w, bias, u, n_out, n_in, onto)
    elif vectors == 2:
        affine_rows(2, out, w, bias, u, n_out, n_in, onto)
    else:
        affine_rows(4, out, w, bias, u, n_out, n_in, onto)


cdef inline void outer_tile(
    int rows, int columns, int vectors, Py_ssize_t steps,
    real* grad, Py_ssize_t grad_stride,
    const real* a, Py_ssize_t a_step, const real* u, Py_ssize_t u_step,
) noexcept nogil:
    cdef vreal sums[16]
    cdef vreal left[4]
    cdef vreal right
    cdef Py_ssize_t _t, lanes = vectors * LANES
    cdef int i, j, v
    for i in range(rows * columns):
        sums[i] = vset1(0)
    for _t in range(steps):
        for v in range(vectors):
            for i in range(rows):
                left[i] = vload(a + i * lanes + v * LANES)
            for j in range(columns):
                right = vload(u + j * lanes + v * LANES)
                for i in range(rows):
                    sums[i * columns + j] = vfma(left[i], right, sums[i * columns + j])
        a += a_step
        u += u_step
    for i in range(rows):
        for j in range(columns):
            grad[i * grad_stride + j] += vsum(sums[i * columns + j])


cdef inline void outer_columns(
    int rows, int vectors, Py_ssize_t steps, real* grad, Py_ssize_t n_u,
    const real* a, Py_ssize_t a_step, const real* u, Py_ssize_t u_step,
) noexcept nogil:
    cdef Py_ssize_t j = 0, lanes = vectors * LANES
    while j < n_u:
        if n_u - j >= 4:
            outer_tile(rows, 4, vectors, steps, grad + j, n_u, a, a_step, u + j * lanes, u_step)
            j += 4
        elif n_u - j >= 2:
            outer_tile(rows, 2, vectors, steps, grad + j, n_u, a, a_step, u + j * lanes, u_step)
            j += 2
        else:
            outer_tile(rows, 1, vectors, steps, grad + j, n_u, a, a_step, u + j * lanes, u_step)
            j += 1


cdef inline void outer_sum(
    int vectors, Py_ssize_t steps, real* grad, Py_ssize_t n_a, Py_ssize_t n_u,
    const real* a, Py_ssize_t a_step, const real* u, Py_ssize_t u_step,
) noexcept nogil:
    """grad[i, j] += sum over steps and lanes of a[t, i] u[t, j].

    grad (n_a, n_u); a and u: rows of lanes, a step every a_step and u_step reals
    (0 for the same rows at every step).
    """
    cdef Py_ssize_t i = 0, lanes = vectors * LANES
    while i < n_a:
        if TILE_SUMS >= 16 and n_a - i >= 4:
            outer_columns(4, vectors, steps, grad + i * n_u, n_u, a + i * lanes, a_step, u, u_step)
            i += 4
        elif n_a - i >= 2:
            outer_columns(2, vectors, steps, grad + i * n_u, n_u, a + i * lanes, a_step, u, u_step)
            i += 2
        else:
            outer_columns(1, vectors, steps, grad + i * n_u, n_u, a + i * lanes, a_step, u, u_step)
            i += 1
