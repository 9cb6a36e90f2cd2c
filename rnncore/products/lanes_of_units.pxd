"""The product of the forward pass with units in lanes, for a single sequence.

    out[t, i] = start + sum_j W[i, j] u[t, j]

A column of W is as many vectors as its units fill, the last one padded with zeros.
Each sum is formed in the order of j, as by `affine` of lanes_of_sequences.pxd: both give the
same bits.
"""

from rnncore.simd.lanes cimport LANES, TILE_SUMS, real, vfma, vload, vreal, vset1, vstore


cdef inline Py_ssize_t padded(Py_ssize_t units) noexcept nogil:
    """Reals that so many units take in whole vectors."""
    return (units + LANES - 1) // LANES * LANES


cdef inline int tile_vectors(Py_ssize_t left) noexcept nogil:
    """Vectors of the next tile when `left` are left: up to 8, and all tiles of much the same
    width, because a narrow one takes as long as a wide one: each accumulator is a dependency
    chain."""
    cdef Py_ssize_t tiles = (left + 7) // 8
    return <int>((left + tiles - 1) // tiles)


cdef inline void pack_units(
    real* packed, const real* matrix, Py_ssize_t n_out, Py_ssize_t n_in, Py_ssize_t out_stride,
    Py_ssize_t in_stride,
) noexcept nogil:
    """Copy matrix[i * out_stride + j * in_stride], (n_out, n_in), in the order in which
    `affine_units` reads it: tile after tile of units, in each column after column."""
    pack_blocks(packed, &matrix, 1, n_out, n_in, out_stride, in_stride)


cdef inline void pack_blocks(
    real* packed, const real** blocks, Py_ssize_t n_blocks, Py_ssize_t n_out, Py_ssize_t n_in,
    Py_ssize_t out_stride, Py_ssize_t in_stride,
) noexcept nogil:
    """The same for several matrices one below the other, each padded to whole vectors."""
    cdef Py_ssize_t P = padded(n_out), left = n_blocks * P, block = 0, row = 0, j, k, width
    cdef const real* entry
    while left > 0:
        width = tile_vectors(left // LANES) * LANES
        for k in range(width):
            if row < n_out:
                entry = blocks[block] + row * out_stride
                for j in range(n_in):
                    packed[j * width + k] = entry[j * in_stride]
            else:
                for j in range(n_in):
                    packed[j * width + k] = 0
            row += 1
            if row == P:
                row = 0
                block += 1
        packed += n_in * width
        left -= width


cdef inline void units_tile(
    int steps, int vectors, bint onto, real* out, Py_ssize_t out_step, const real* w,
    const real* bias, const real* u, Py_ssize_t u_step, Py_ssize_t n_in,
) noexcept nogil:
    cdef vreal sums[16]
    cdef vreal x, weight
    cdef Py_ssize_t j
    cdef int t, v
    for t in range(steps):
        for v in range(vectors):
            if onto:
                sums[t * vectors + v] = vload(out + t * out_step + v * LANES)
            else:
                sums[t * vectors + v] = vload(bias + v * LANES)
    for j in range(n_in):
        for v in range(vectors):
            weight = vload(w + v * LANES)
            for t in range(steps):
                x = vset1(u[t * u_step + j])
                sums[t * vectors + v] = vfma(weight, x, sums[t * vectors + v])
        w += vectors * LANES
    for t in range(steps):
        for v in range(vectors):
            vstore(out + t * out_step + v * LANES, sums[t * vectors + v])


cdef inline void units_steps(
    int vectors, bint onto, real* out, Py_ssize_t out_step, const real* w, const real* bias,
    const real* u, Py_ssize_t u_step, Py_ssize_t n_in, Py_ssize_t n,
) noexcept nogil:
    cdef int steps = min(8, TILE_SUMS // vectors)
    while n >= steps:
        units_tile(steps, vectors, onto, out, out_step, w, bias, u, u_step, n_in)
        out += steps * out_step
        u += steps * u_step
        n -= steps
    while n > 0:
        units_tile(1, vectors, onto, out, out_step, w, bias, u, u_step, n_in)
        out += out_step
        u += u_step
        n -= 1


cdef inline void affine_units(
    real* out, Py_ssize_t out_step, Py_ssize_t n_out, const real* w, const real* bias,
    const real* u, Py_ssize_t u_step, Py_ssize_t n_in, Py_ssize_t n, bint onto,
) noexcept nogil:
    """n steps of the product: out (n, padded n_out), a row every out_step reals; u (n, n_in), a
    row every u_step; start is out[t, i] itself with `onto`, bias[i] (padded n_out) without."""
    cdef Py_ssize_t i = 0
    cdef int vectors
    while i < n_out:
        vectors = tile_vectors((n_out - i + LANES - 1) // LANES)
        if vectors == 1:
            units_steps(1, onto, out, out_step, w, bias, u, u_step, n_in, n)
        elif vectors == 2:
            units_steps(2, onto, out, out_step, w, bias, u, u_step, n_in, n)
        elif vectors == 3:
            units_steps(3, onto, out, out_step, w, bias, u, u_step, n_in, n)
        elif vectors == 4:
            units_steps(4, onto, out, out_step, w, bias, u, u_step, n_in, n)
        elif vectors == 5:
            units_steps(5, onto, out, out_step, w, bias, u, u_step, n_in, n)
        elif vectors == 6:
            units_steps(6, onto, out, out_step, w, bias, u, u_step, n_in, n)
        elif vectors == 7:
            units_steps(7, onto, out, out_step, w, bias, u, u_step, n_in, n)
        else:
            units_steps(8, onto, out, out_step, w, bias, u, u_step, n_in, n)
        i += vectors * LANES
        out += vectors * LANES
        if not onto:              # it may be NULL
            bias += vectors * LANES
        w += vectors * LANES * n_in
