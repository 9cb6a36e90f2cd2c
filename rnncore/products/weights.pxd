"""Whose a weight is, and a gradient: of all lanes, or each lane's own."""

from rnncore.simd.lanes cimport LANES, real, vadd, vload, vreal, vset1, vstore, vsum

# How many reals a weight is, where it is given and where it is packed: 1, or a vector where every
# lane has a weight of its own, or where every vector of a row has, so many vectors.  A dual one is
# packed as two, the weight and how it changes, which is given `change` reals after it.
cdef struct Weights:
    int given
    int packed
    Py_ssize_t change         # 0: it is not a dual one

# Whose weights the products read, a literal.
cdef enum Whose:
    SHARED                    # of all lanes
    OF_LANE                   # of each lane, the same for all vectors of a row
    OF_VECTOR                 # of each lane of each vector
    DUAL                      # of all lanes; one vector of numbers, and one of how they change


cdef inline Py_ssize_t reals_of(Whose whose, int vectors) noexcept nogil:
    """Of a weight."""
    if whose == DUAL:
        return 2
    return 1 if whose == SHARED else LANES if whose == OF_LANE else vectors * LANES


cdef inline vreal weight_of(
    Whose whose, int vectors, const real* w, Py_ssize_t i, int v,
) noexcept nogil:
    """The i-th weight for the v-th vector of a row."""
    if whose == SHARED:
        return vset1(w[i])
    if whose == DUAL:
        return vset1(w[2 * i + v])
    return vload(w + i * reals_of(whose, vectors) + (v * LANES if whose == OF_VECTOR else 0))


cdef inline void add_sum(int given, real* grad, Py_ssize_t i, vreal sums) noexcept nogil:
    """The i-th entry of a gradient += its sums by lane: all together, or each to its own, where
    entries are so many reals."""
    if given > 1:
        vstore(grad + i * given, vadd(vload(grad + i * given), sums))
    else:
        grad[i] += vsum(sums)
