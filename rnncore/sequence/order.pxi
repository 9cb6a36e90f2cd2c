# The order in which sequences are put into blocks.


cdef int by_key(const void* a, const void* b) noexcept nogil:
    cdef int64_t one = (<const int64_t*>a)[0], other = (<const int64_t*>b)[0]
    return (one > other) - (one < other)


cdef bint differ_in_length(
    const int64_t* sequences, Py_ssize_t count, const int64_t* length,
) noexcept nogil:
    """Whether some are longer than others; without lengths none is."""
    cdef Py_ssize_t i
    if length == NULL:
        return False
    for i in range(1, count):
        if length[sequences[i]] != length[sequences[0]]:
            return True
    return False


cdef void sort_by_length(
    int64_t* order, Py_ssize_t count, const int64_t* length, int64_t* keys,
) noexcept nogil:
    """Sequences of like length next to each other: a block takes as long as its longest."""
    cdef Py_ssize_t i
    for i in range(count):
        keys[i] = (length[order[i]] << 32) | order[i]
    qsort(keys, count, sizeof(int64_t), by_key)
    for i in range(count):
        order[i] = keys[i] & ((<int64_t>1 << 32) - 1)
