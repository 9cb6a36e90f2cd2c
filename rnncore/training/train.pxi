# What Python calls to train a population.


def train_members(Population population not None, double seconds):
    """Train members that wait until there are none, for so many seconds, or until `stop`.  Any
    number of threads may do so at once, without the GIL."""
    cdef Cohort cohort = Cohort(population)
    cdef double until = seconds_now() + seconds
    with nogil:
        cohort.run(until)
