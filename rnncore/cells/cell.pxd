"""What a cell is: where its products go, what a step saves, and the mathematics of one step.

A step of every cell is the same products, followed by the cell's own pointwise functions.
a_t is made of blocks of H rows:

    apart    W_ih x_t + b_ih                           of gates that keep their two products apart
    shared   W_ih x_t + b_ih + W_hh h_{t-1} + b_hh     of the other gates
    apart    W_hh h_{t-1} + b_hh                       again of the first kind

so what x_t enters is the first blocks, what h_{t-1} enters the last ones, both contiguous. In the
parameters W_ih, W_hh and the biases the gates stand in one order: first those with shared products.

A cell may have a *gated state* g_t: W_hh of the gates apart then meets g_t in the place of h_{t-1}.
The cell forms it of h_{t-1} and the shared blocks once these are complete, so a step of it has two
phases.
"""

from rnncore.simd.lanes cimport LANES, real

# From a_t, h_{t-1} and c_{t-1} to c_t and h_t, n reals each and in a_t for each block (rows of
# lanes, or units in lanes); and what is saved, unless that is NULL.  f: the nonlinearity of a plain
# cell, or of the candidate of one that has a choice.  c may be c_{t-1}, and of a plain cell h is
# a_t; of others it is apart from h_{t-1} and a_t.
ctypedef void (*Forward)(
    int f, Py_ssize_t n, const real* a, const real* h_before, const real* c_before, real* c,
    real* h, real* saved,
) noexcept nogil

# dL/da_t of n reals a block, from dL/dh_t and dL/dc_t, which becomes dL/dc_{t-1}. Where the cell
# carries its state, dL/dh_t becomes what reaches h_{t-1} other than through W_hh.
ctypedef void (*Backward)(
    Py_ssize_t n, const real* saved, real* dh, real* dc, real* da,
) noexcept nogil

# The first phase of a step with a gated state: g_t into the first shared block of a_t, which is
# no longer needed there; and what is saved of it, unless that is NULL.
ctypedef void (*Gate)(
    Py_ssize_t n, real* a, const real* h_before, real* saved,
) noexcept nogil

# And backwards, from dL/dg_t: that block's dL/da_t, and onto dh what reaches h_{t-1} through g_t.
ctypedef void (*GateBackward)(
    Py_ssize_t n, const real* saved, const real* dg, real* dh, real* da,
) noexcept nogil

cdef struct Cell:
    const char* name
    int shared                # gates whose products are added
    int apart                 # gates whose products are not
    # Blocks of H rows that a step saves; of a gated cell the last one is by what its state is
    # multiplied from step to step.
    int saved
    bint memory               # whether there is a c_t beside h_t
    bint carries              # whether h_t depends on h_{t-1} also directly
    bint plain                # whether h_t = f(a_t) and nothing else
    Forward forward
    Backward backward
    Gate gate                 # NULL where there is no gated state
    GateBackward gate_backward
    int gated                 # which of the saved blocks is g_t


cdef inline int gates_of(const Cell* cell) noexcept nogil:
    """Blocks of H rows in W_ih and W_hh."""
    return cell.shared + cell.apart


cdef inline int blocks_of_a(const Cell* cell) noexcept nogil:
    """Blocks of H rows in a_t."""
    return cell.shared + 2 * cell.apart


cdef inline Py_ssize_t input_block(const Cell* cell, Py_ssize_t gate) noexcept nogil:
    """Which block of a_t a gate's rows of W_ih x_t are in."""
    return gate + cell.apart if gate < cell.shared else gate - cell.shared


cdef inline Py_ssize_t state_block(const Cell* cell, Py_ssize_t gate) noexcept nogil:
    """And those of W_hh h_{t-1}."""
    return gate + cell.apart


cdef inline int gates_of_state(const Cell* cell) noexcept nogil:
    """Blocks of H rows in W_hh, the first ones, that meet h_{t-1} itself."""
    return gates_of(cell) if cell.gate == NULL else cell.shared


# Some vectors of each block of a cell whose only state is h, with a nonlinearity f of its
# candidate; all but the pointers are literals.
ctypedef void (*Units)(
    int f, int vectors, bint saving, Py_ssize_t n, const real* a, const real* h_before, real* h,
    real* saved,
) noexcept nogil


cdef inline void side_by_side(
    Units units, int f, bint saving, Py_ssize_t n, const real* a, const real* h_before, real* h,
    real* saved,
) noexcept nogil:
    """All vectors, two at a time: while one waits for its gates the other can go on."""
    cdef Py_ssize_t k = 0
    while k + LANES < n:
        units(f, 2, saving, n, a + k, h_before + k, h + k, saved + k)
        k += 2 * LANES
    if k < n:
        units(f, 1, saving, n, a + k, h_before + k, h + k, saved + k)


cdef inline void forward_of(
    Units units, int f, int other, int usual, Py_ssize_t n, const real* a, const real* h_before,
    real* h, real* saved,
) noexcept nogil:
    """`Forward` of such a cell, whose f is one of two: each of its loops knows which, and whether
    anything is saved."""
    if f == other and saved != NULL:
        side_by_side(units, other, True, n, a, h_before, h, saved)
    elif f == other:
        side_by_side(units, other, False, n, a, h_before, h, h)   # which it does not write
    elif saved != NULL:
        side_by_side(units, usual, True, n, a, h_before, h, saved)
    else:
        side_by_side(units, usual, False, n, a, h_before, h, h)
