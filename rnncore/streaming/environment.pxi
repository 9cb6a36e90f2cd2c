# Streams that choose, and whose next inputs are what a table answers to their choices.

cdef struct Answers:
    Py_ssize_t choices, outcomes
    const real* inputs             # [choice][outcome][D] what goes in after it
    const double* probabilities    # [trial or one for all][choice][outcome]
    bint by_trial                  # whether every trial has probabilities of its own


cdef struct Played:
    Py_ssize_t trials
    real* x                        # (n, D) the next inputs
    real* y                        # (n, K) room for outputs
    State now                      # the states
    State spare                    # room for states that are not gone on from
    uint64_t* seeds                # (n) the random numbers of each stream
    real* seen                     # (n, trials, D) inputs
    int64_t* chosen                # (n, trials)
    double* likely                 # (n, trials, choices) probabilities of choices


cdef Py_ssize_t pick(const double* p, Py_ssize_t n, uint64_t* seed) noexcept nogil:
    """0 .. n - 1, drawn with probabilities p / sum p."""
    cdef Py_ssize_t k
    cdef double total = 0, below = 0, level
    for k in range(n):
        total += p[k]
    level = uniform(next_random(seed)) * total
    for k in range(n - 1):
        below += p[k]
        if level < below:
            return k
    return n - 1


cdef bint choice_probabilities(
    const real* z, Py_ssize_t K, double* p, Py_ssize_t choices,
) noexcept nogil:
    """softmax of the logits z (K) of as many choices; of a single one, of 0 and z.  Returns
    whether they are finite."""
    cdef Py_ssize_t k, first = choices - K
    cdef double top = 0 if first else z[0], total = 0
    for k in range(K):
        if not isfinite(z[k]):
            return False
        top = max(top, z[k])
    for k in range(choices):
        p[k] = exp((z[k - first] if k >= first else 0) - top)
        total += p[k]
    for k in range(choices):
        p[k] /= total
    return True


cdef Py_ssize_t play(
    Units units, Py_ssize_t n, Py_ssize_t first, Py_ssize_t last, const Answers* answers,
    const Played* played,
) noexcept nogil:
    """The trials first .. last of n streams.  Returns how many were done, fewer than there are
    where a number was not finite."""
    cdef Py_ssize_t D = units.net.inputs, K = units.net.outputs, C = answers.choices
    cdef Py_ssize_t outcomes = answers.outcomes, t, s, row, c, o
    cdef bint before = units.net.before
    cdef const State* after = &played.spare if before else &played.now
    cdef const double* p
    for t in range(first, last):
        if units.advance_all(played.x, NULL, &played.now, n, played.y, after):
            return t
        for s in range(n):
            row = s * played.trials + t
            if not choice_probabilities(played.y + s * K, K, played.likely + row * C, C):
                return t
            c = pick(played.likely + row * C, C, &played.seeds[s])
            played.chosen[row] = c
            if not before:
                memcpy(played.seen + row * D, played.x + s * D, D * sizeof(real))
            p = answers.probabilities + ((t * C if answers.by_trial else 0) + c) * outcomes
            o = pick(p, outcomes, &played.seeds[s])
            memcpy(played.x + s * D, answers.inputs + (c * outcomes + o) * D, D * sizeof(real))
            if before:
                memcpy(played.seen + row * D, played.x + s * D, D * sizeof(real))
        if before and units.advance_all(played.x, NULL, &played.now, n, played.y, &played.now):
            return t
    return last
