"""The three products of BPTT on lanes.

    forward    a  = W u + b          affine, W packed
    backward   du = W^T da           affine, W^T packed
    gradient   dW = sum_t da_t u_t^T contract; where a row of dW does not fill
                                     vectors, see outer_sums.pxd

A matrix of lanes holds its rows one after another, each row ``vectors`` vectors
long (one real per sequence of the block).

Every product works in register tiles: the sums of a few rows stay in registers
while the inner index runs, one operand comes in vectors, the other is broadcast
from memory.  Each sum is formed in the order of the inner index whatever tile it
falls into, so a sequence gets the same bits in any block.
"""

from rnncore.products.weights cimport (
    DUAL, OF_VECTOR, SHARED, Weights, Whose, reals_of, weight_of,
)
from rnncore.simd.lanes cimport (
    LANES, TILE_SUMS, real, vadd, vfma, vload, vreal, vset1, vstore, vtranspose,
)

cdef enum:
    PANEL = 384               # vectors of u worked on at a time: they fit the L1
    MOST_SUMS = 24            # of any register tile
    CHUNK = 256               # terms of a gradient to sum in one go, for speed and precision


cdef inline Py_ssize_t tile_rows(Py_ssize_t left, int vectors) noexcept nogil:
    """Rows of the next tile when `left` rows are left: a full tile, then powers of two; rather two
    and two than three and one, whose few sums would wait for each other."""
    cdef Py_ssize_t full = min(8, TILE_SUMS // vectors)
    if full == 3 and left == 4:
        return 2
    if left >= full:
        return full
    return 4 if left >= 4 else 2 if left >= 2 else 1


cdef inline void pack(
    Weights of, real* packed, Py_ssize_t columns, Py_ssize_t first, int vectors,
    const real* matrix, Py_ssize_t n_out, Py_ssize_t n_in,
    Py_ssize_t out_stride, Py_ssize_t in_stride,
) noexcept nogil:
    pack_by(False, of, packed, columns, first, vectors, matrix, n_out, n_in, out_stride, in_stride)


cdef inline void pack_by(
    bint onto, Weights of, real* packed, Py_ssize_t columns, Py_ssize_t first, int vectors,
    const real* matrix, Py_ssize_t n_out, Py_ssize_t n_in,
    Py_ssize_t out_stride, Py_ssize_t in_stride,
) noexcept nogil:
    """Copy matrix[i * out_stride + j * in_stride] into columns first.. of `packed`, the (n_out,
    columns) matrix in the order in which the tiles of `affine` read it: panel after panel of
    columns, in each tile after tile of rows, in each of these column after column.  Weights are
    counted, of so many reals as `of` says.  onto, a literal: they are added to what is there."""
    cdef Py_ssize_t most = PANEL // vectors, i = 0, _j, k, rows, panel, width, column, end
    cdef Py_ssize_t given = of.given, size = of.packed, g
    cdef const real* entry
    cdef real* tile
    cdef vreal weight
    cdef real number
    while i < n_out:
        rows = tile_rows(n_out - i, vectors)
        column = first
        while column < first + n_in:
            panel = column // most * most
            width = min(most, columns - panel)
            end = min(panel + width, first + n_in)
            tile = packed + (panel * n_out + i * width + (column - panel) * rows) * size
            entry = matrix + (i * out_stride + (column - first) * in_stride) * given
            for _j in range(end - column):
                for k in range(rows):
                    number = entry[k * out_stride]
                    if size == 1:
                        tile[k] = number + tile[k] if onto else number
                        continue
                    if of.change:
                        for g in range(2):
                            number = entry[k * out_stride + g * of.change]
                            tile[2 * k + g] = number + tile[2 * k + g] if onto else number
                        continue
                    for g in range(size // LANES):
                        weight = vset1(number)
                        if given > 1:
                            weight = vload(entry + k * out_stride * given + g * LANES)
                        if onto:
                            weight = vadd(weight, vload(tile + k * size + g * LANES))
                        vstore(tile + k * size + g * LANES, weight)
                tile += rows * size
                entry += in_stride * given
            column = end
        i += rows


cdef inline void rank_one(
    Whose whose, int rows, int vectors, vreal* sums, const real* w, Py_ssize_t w_row,
    const real* u,
) noexcept nogil:
    """sums[i, v] += w[i * w_row] u[v]; of dual numbers (w u)' = w u' + w' u."""
    cdef vreal x[8]
    cdef vreal weight
    cdef int i, v
    for v in range(vectors):
        x[v] = vload(u + v * LANES)
    for i in range(rows):
        weight = weight_of(whose, vectors, w, i * w_row, 0)
        for v in range(vectors):
            if whose == OF_VECTOR:
                weight = weight_of(whose, vectors, w, i * w_row, v)
            sums[i * vectors + v] = vfma(weight, x[v], sums[i * vectors + v])
        if whose == DUAL:
            weight = weight_of(whose, vectors, w, i * w_row, 1)
            sums[i * vectors + 1] = vfma(weight, x[0], sums[i * vectors + 1])


cdef inline void affine_tile(
    Whose whose, int rows, int vectors, bint onto,
    real* out, const real* w, const real* bias, const real* u, Py_ssize_t n_in,
) noexcept nogil:
    cdef vreal sums[MOST_SUMS]
    cdef Py_ssize_t _j
    cdef int i, v
    for i in range(rows):
        for v in range(vectors):
            if onto:
                sums[i * vectors + v] = vload(out + (i * vectors + v) * LANES)
            else:
                sums[i * vectors + v] = weight_of(whose, vectors, bias, i, v)
    for _j in range(n_in):
        rank_one(whose, rows, vectors, sums, w, 1, u)
        u += vectors * LANES
        w += rows * reals_of(whose, vectors)
    for i in range(rows * vectors):
        vstore(out + i * LANES, sums[i])


cdef inline void affine_panel(
    Whose whose, int vectors, real* out, const real* w, const real* bias, const real* u,
    Py_ssize_t n_out, Py_ssize_t n_in, bint onto,
) noexcept nogil:
    cdef Py_ssize_t i = 0, rows, size = reals_of(whose, vectors)
    while i < n_out:
        rows = tile_rows(n_out - i, vectors)
        if 8 * vectors <= TILE_SUMS and rows == 8:
            affine_tile(whose, 8, vectors, onto, out, w, bias, u, n_in)
        elif 6 * vectors <= TILE_SUMS < 8 * vectors and rows == 6:
            affine_tile(whose, 6, vectors, onto, out, w, bias, u, n_in)
        elif 4 * vectors <= TILE_SUMS and rows == 4:
            affine_tile(whose, 4, vectors, onto, out, w, bias, u, n_in)
        elif 3 * vectors <= TILE_SUMS < 4 * vectors and rows == 3:
            affine_tile(whose, 3, vectors, onto, out, w, bias, u, n_in)
        elif 2 * vectors <= TILE_SUMS and rows == 2:
            affine_tile(whose, 2, vectors, onto, out, w, bias, u, n_in)
        else:
            affine_tile(whose, 1, vectors, onto, out, w, bias, u, n_in)
        i += rows
        out += rows * vectors * LANES
        w += rows * n_in * size
        bias += rows * size


cdef inline void affine_panels(
    Whose whose, int vectors, real* out, const real* w, const real* bias, const real* u,
    Py_ssize_t n_out, Py_ssize_t n_in, bint onto,
) noexcept nogil:
    cdef Py_ssize_t most = PANEL // vectors, j = most, n, size = reals_of(whose, vectors)
    affine_panel(whose, vectors, out, w, bias, u, n_out, min(most, n_in), onto)
    while j < n_in:
        n = min(most, n_in - j)
        affine_panel(
            whose, vectors, out, w + j * n_out * size, bias, u + j * vectors * LANES, n_out, n, True
        )
        j += most


cdef inline void affine(
    Whose whose, int vectors, real* out, const real* w, const real* bias, const real* u,
    Py_ssize_t n_out, Py_ssize_t n_in, bint onto,
) noexcept nogil:
    """out[i] = start + sum_j W[i, j] u[j], where start is out[i] itself with `onto`,
    bias[i] without.

    out (n_out, lanes), u (n_in, lanes): aligned, apart from each other;
    w: (n_out, n_in) packed; bias (n_out), read only without `onto`.  whose: a literal.
    """
    # With the number of vectors known, the compiler unrolls the tiles.
    if vectors == 1:
        affine_panels(whose, 1, out, w, bias, u, n_out, n_in, onto)
    elif vectors == 2:
        affine_panels(whose, 2, out, w, bias, u, n_out, n_in, onto)
    else:
        affine_panels(whose, 4, out, w, bias, u, n_out, n_in, onto)


cdef inline void lanes_to_rows(
    int vectors, real* rows, const real* lanes, Py_ssize_t n, Py_ssize_t padded,
) noexcept nogil:
    """rows[lane, i] = lanes[i, lane], for i < n; zeros up to `padded`, whole vectors."""
    cdef vreal square[64]
    cdef Py_ssize_t i = 0, v
    cdef int k
    while i < padded:
        for v in range(vectors):
            for k in range(LANES):
                if i + k < n:
                    square[k] = vload(lanes + ((i + k) * vectors + v) * LANES)
                else:
                    square[k] = vset1(0)
            vtranspose(square)
            for k in range(LANES):
                vstore(rows + (v * LANES + k) * padded + i, square[k])
        i += LANES


cdef inline void contract_tile(
    int rows, int columns, Py_ssize_t steps, Py_ssize_t lanes, Py_ssize_t used,
    real* grad, Py_ssize_t width, const real* u, Py_ssize_t u_step, const real* a,
) noexcept nogil:
    cdef vreal sums[MOST_SUMS]
    cdef Py_ssize_t _t, lane
    cdef int i, v
    for i in range(rows * columns):
        sums[i] = vset1(0)
    for _t in range(steps):
        for lane in range(used):
            rank_one(SHARED, rows, columns, sums, u + lane, lanes, a + lane * width)
        a += lanes * width
        u += u_step
    for i in range(rows):
        for v in range(columns):
            vstore(
                grad + i * width + v * LANES,
                vadd(vload(grad + i * width + v * LANES), sums[i * columns + v]),
            )


cdef inline void contract_columns(
    int columns, Py_ssize_t steps, Py_ssize_t lanes, Py_ssize_t used,
    real* grad, Py_ssize_t width, Py_ssize_t n_u, const real* u, Py_ssize_t u_step, const real* a,
) noexcept nogil:
    cdef Py_ssize_t j = 0, rows
    while j < n_u:
        rows = tile_rows(n_u - j, columns)
        if rows == 8:
            contract_tile(8, columns, steps, lanes, used, grad, width, u, u_step, a)
        elif TILE_SUMS < 8 * columns and rows == 6:
            contract_tile(6, columns, steps, lanes, used, grad, width, u, u_step, a)
        elif rows == 4:
            contract_tile(4, columns, steps, lanes, used, grad, width, u, u_step, a)
        elif rows == 2:
            contract_tile(2, columns, steps, lanes, used, grad, width, u, u_step, a)
        else:
            contract_tile(1, columns, steps, lanes, used, grad, width, u, u_step, a)
        j += rows
        grad += rows * width
        u += rows * lanes


cdef inline void contract(
    Py_ssize_t chunk, Py_ssize_t steps, Py_ssize_t lanes, Py_ssize_t used, real* grad,
    Py_ssize_t width, Py_ssize_t columns, Py_ssize_t n_u, const real* u, Py_ssize_t u_step,
    const real* a,
) noexcept nogil:
    """grad[j, i] += sum over steps and used lanes of u[t, j, lane] a[t, lane, i], for the
    first `columns` of i, summed in one go for so many steps.

    grad (n_u, width); u: rows of lanes, a step every u_step reals; a (steps, lanes, width);
    width and columns are multiples of LANES.
    """
    cdef Py_ssize_t i, t = 0, n
    while t < steps:
        n = min(chunk, steps - t)
        i = 0
        while i < columns:
            if columns - i >= 2 * LANES:
                contract_columns(
                    2, n, lanes, used, grad + i, width, n_u, u + t * u_step, u_step,
                    a + t * lanes * width + i,
                )
                i += 2 * LANES
            else:
                contract_columns(
                    1, n, lanes, used, grad + i, width, n_u, u + t * u_step, u_step,
                    a + t * lanes * width + i,
                )
                i += LANES
        t += n
