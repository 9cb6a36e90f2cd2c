# What Python calls to train a population.


def kinds(Population population not None):
    """(members): which can be trained together."""
    cdef Py_ssize_t m
    cdef Cohort cohort = Cohort(population)
    cdef cnp.ndarray answer = cnp.PyArray_ZEROS(1, [population.count], cnp.NPY_INT64, 0)
    for m in range(population.count):
        (<int64_t*>cnp.PyArray_DATA(answer))[m] = cohort.kind_of(&population.members[m])
    return answer


def train_members(Population population not None, double seconds):
    """Train members that wait until there are none, for so many seconds, or until `stop`.  Any
    number of threads may do so at once, without the GIL."""
    cdef Cohort cohort = Cohort(population)
    cdef double until = seconds_now() + seconds
    with nogil:
        cohort.run(until)
