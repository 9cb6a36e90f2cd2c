# The order of the sequences of an epoch.  Members of a population often have one order, drawn by
# one sequence of random numbers: it is drawn once and copied.

cdef struct LastOrder:
    const int64_t* order      # the last one that was drawn; NULL: none
    Py_ssize_t count
    int64_t* first            # (count) what it was before
    uint64_t before, after    # the random state before and after


cdef void draw_order(
    LastOrder* last, int64_t* order, Py_ssize_t count, uint64_t* random,
) noexcept nogil:
    """Shuffle an order, which nothing else changes before another one is drawn."""
    cdef size_t size = count * sizeof(int64_t)
    if (
        last.order != NULL and last.count == count and last.before == random[0]
        and memcmp(last.first, order, size) == 0
    ):
        memcpy(order, last.order, size)
        random[0] = last.after
        return
    memcpy(last.first, order, size)
    last.order, last.count, last.before = order, count, random[0]
    shuffle(order, count, random)
    last.after = random[0]
