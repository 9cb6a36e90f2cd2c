"""Random numbers and permutations: SplitMix64 (Steele, Lea and Flood 2014) and Fisher-Yates."""

from libc.stdint cimport int64_t, uint64_t


cdef inline uint64_t next_random(uint64_t* state) noexcept nogil:
    cdef uint64_t z
    state[0] += 0x9E3779B97F4A7C15ULL
    z = state[0]
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL
    return z ^ (z >> 31)


cdef inline double uniform(uint64_t draw) noexcept nogil:
    """From 0 up to 1, without it."""
    return (draw >> 11) * (1.0 / (1ULL << 53))


cdef inline uint64_t random_below(uint64_t* state, uint64_t n) noexcept nogil:
    """Uniform over 0 .. n - 1: draws below 2^64 mod n, one for each that the others are short of
    whole ranges, are thrown away."""
    cdef uint64_t draw = next_random(state)
    while draw < n and draw < (<uint64_t>0 - n) % n:   # seldom needs the division
        draw = next_random(state)
    return draw % n


cdef inline void shuffle(int64_t* order, Py_ssize_t n, uint64_t* state) noexcept nogil:
    cdef Py_ssize_t i, j
    cdef int64_t kept
    for i in range(n - 1, 0, -1):
        j = <Py_ssize_t>random_below(state, <uint64_t>i + 1)
        kept = order[i]
        order[i] = order[j]
        order[j] = kept
