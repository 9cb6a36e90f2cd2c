# What is drawn in training: which units a layer drops, and which stay as they were.
#
# No numbers are drawn in order: each decision is a hash of the seed, the sequence, the step, the
# layer and the unit, so it depends neither on where a sequence is nor on who asks how often.

cdef enum:
    COINS = 4                 # decisions from one random number, of 16 bits each

# In the place of a step and of a unit in such a hash, where no step or unit has these numbers.
cdef uint64_t EVERY_STEP = 1ULL << 62, OF_H = 1ULL << 62, OF_C = (1ULL << 62) + 1


cdef inline uint64_t coins(uint64_t seed, uint64_t which) noexcept nogil:
    """The `which`-th random number of a seed, independent of the others."""
    seed += which * 0x9E3779B97F4A7C15ULL
    return next_random(&seed)


cdef inline uint64_t number_of(const Plan* plan, Py_ssize_t lane) noexcept nogil:
    """By which draws know a lane's sequence: its number in the call, in a population among those
    of its model."""
    cdef Py_ssize_t model = model_of(plan, lane) if plan.models_in_lanes else 0, i
    if plan.job.numbers[model] == NULL:
        return <uint64_t>plan.block.sequence[lane]
    i = plan.block.first
    if plan.models_in_lanes:
        i += lane // (plan.groups * LANES)
    elif lane < plan.block.used:
        i += lane
    return <uint64_t>plan.job.numbers[model][i] if i < plan.job.counts[model] else 0


cdef inline uint64_t coins_of_step(
    const Plan* plan, const Layer* layer, Py_ssize_t lane, uint64_t t,
) noexcept nogil:
    """The random number of a lane's step in a layer, from which those of its units come."""
    cdef uint64_t seed = plan.job.dropout_seed[model_of(plan, lane)]
    return coins(coins(coins(seed, number_of(plan, lane)), t), <uint64_t>layer.state_row)


cdef inline uint64_t least_kept(double share) noexcept nogil:
    """The smallest 16 bits with which a unit is not among the share that is drawn."""
    return min(<uint64_t>(share * 65536 + 0.5), <uint64_t>65535)


cdef inline real scale_of(double share) noexcept nogil:
    """What makes up for the share that is dropped: 1 / (1 - p)."""
    return <real>(65536 / <double>(65536 - least_kept(share)))


cdef inline void drop_units(
    uint64_t draws, double share, real scale, real* rows, Py_ssize_t H, Py_ssize_t lanes,
) noexcept nogil:
    """H numbers, every `lanes` reals, by 0 with the probability `share`, else by scale."""
    cdef uint64_t draw = 0, least = least_kept(share)
    cdef Py_ssize_t i
    for i in range(H):
        if i % COINS == 0:
            draw = coins(draws, <uint64_t>i)
        if draw & 65535 < least:
            rows[i * lanes] = 0
        else:
            rows[i * lanes] *= scale
        draw >>= 16


cdef void drop_out(
    const Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t n, real* rows,
    Py_ssize_t step,
) noexcept nogil:
    """Each of the layer's outputs at steps t0 .. t0 + n, rows (H, lanes) every `step` reals, by 0
    with probability p, else by 1 / (1 - p) (Srivastava et al. 2014); or their gradients, alike."""
    cdef double share = plan.net.dropout
    cdef Py_ssize_t t, lane
    if not plan.job.drawing or least_kept(share) == 0:
        return
    for lane in range(plan.lanes):
        for t in range(n):
            drop_units(
                coins_of_step(plan, layer, lane, <uint64_t>(t0 + t)), share, scale_of(share),
                rows + t * step + lane, plan.net.hidden, plan.lanes,
            )
