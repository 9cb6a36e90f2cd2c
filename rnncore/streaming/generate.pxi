# Streams that go on from their own outputs.

cdef struct Draws:
    double temperature
    uint64_t* seeds            # (n) the random numbers of each stream; NULL: the likeliest class


cdef bint draw_all(
    const real* y, Py_ssize_t n, Py_ssize_t K, const Draws* draws, int64_t* tokens,
    double* log_probabilities, Py_ssize_t stride,
) noexcept nogil:
    """A class for each of n rows of y, with entries of log_probabilities so far apart.  Returns
    whether a number in y is not finite."""
    cdef Py_ssize_t s
    cdef uint64_t* seed = NULL
    for s in range(n):
        if draws.seeds != NULL:
            seed = &draws.seeds[s]
        tokens[s] = draw(y + s * K, K, draws.temperature, seed, log_probabilities + s * stride)
        if tokens[s] < 0:
            return True
    return False


def draw_tokens(
    const real[:, ::1] y not None, double temperature, uint64_t[::1] seeds,
    int64_t[::1] tokens not None, double[::1] log_probabilities not None,
):
    """A class for each row of y (n, K) from softmax(y / temperature), or without seeds (n) the
    likeliest.  The seeds go on to those of the next call.  Returns whether all of y is finite."""
    cdef Py_ssize_t n = y.shape[0], K = y.shape[1]
    cdef Draws draws
    expect("tokens", tokens.shape[0], n)
    expect("log_probabilities", log_probabilities.shape[0], n)
    if seeds is not None:
        expect("seeds", seeds.shape[0], n)
    if n == 0 or K == 0:
        return True
    draws.temperature = temperature
    draws.seeds = NULL if seeds is None else &seeds[0]
    return not draw_all(&y[0, 0], n, K, &draws, &tokens[0], &log_probabilities[0], 1)


cdef Py_ssize_t go_on(
    Units units, Py_ssize_t n, Py_ssize_t first, Py_ssize_t last, Py_ssize_t steps, real* y,
    const State* state, const Draws* draws, int64_t* next_tokens, int64_t* tokens,
    double* log_probabilities, real* outputs,
) noexcept nogil:
    """The steps first .. last of n streams: what is generated from y (n, K), and unless it is the
    last of all steps, the outputs after it in the place of y.  Without next_tokens (n), y itself
    is generated.  Returns how many steps were done, fewer than there are where a
    number was not finite."""
    cdef Py_ssize_t K = units.net.outputs, t, s
    for t in range(first, last):
        if next_tokens != NULL:
            if draw_all(y, n, K, draws, next_tokens, log_probabilities + t, steps):
                return t
            for s in range(n):
                tokens[s * steps + t] = next_tokens[s]
        else:
            for s in range(n):
                memcpy(outputs + (s * steps + t) * K, y + s * K, K * sizeof(real))
        if t + 1 < steps and units.advance_all(
            NULL if next_tokens != NULL else y, next_tokens, state, n, y, state
        ):
            return t
    return last
