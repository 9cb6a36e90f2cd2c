# A network's own outputs in the place of the inputs that its data have: scheduled sampling (Bengio,
# Vinyals, Jaitly and Shazeer 2015). After every step what comes next is chosen, sequence by
# sequence: the data's input, or what the network has just put out.


cdef Py_ssize_t draw(
    const real* z, Py_ssize_t K, double temperature, uint64_t* seed, double* log_probability,
) noexcept nogil:
    """A class from softmax(z / temperature), or without a seed the likeliest, the first of equals;
    -1 where z is not finite."""
    cdef Py_ssize_t k, chosen = 0
    cdef double top, total = 0, below = 0, level
    for k in range(K):
        if not isfinite(z[k]):
            return -1
        if z[k] > z[chosen]:
            chosen = k
    top = z[chosen]
    for k in range(K):
        total += exp((z[k] - top) / temperature)
    if seed != NULL:
        level = uniform(next_random(seed)) * total
        for k in range(K):
            below += exp((z[k] - top) / temperature)
            if level < below:
                chosen = k
                break
    log_probability[0] = (z[chosen] - top) / temperature - log(total)
    return chosen


cdef int64_t token_of(const Plan* plan, Py_ssize_t lane, uint64_t seed) noexcept nogil:
    """A class drawn from the softmax of a lane's outputs; where these are not finite, the first."""
    cdef real* z = plan.feed.outputs
    cdef Py_ssize_t k, K = plan.net.outputs
    cdef double log_probability = 0
    for k in range(K):
        z[k] = plan.block.out[k * plan.lanes + lane]
    return max(0, draw(z, K, 1, &seed, &log_probability))


cdef void feed_back(Plan* plan, Py_ssize_t t) noexcept nogil:
    """After step t, the only one of its segment, the inputs of step t + 1."""
    cdef const Feed* feed = plan.feed
    cdef Py_ssize_t K = plan.net.outputs, lane, row, k
    cdef uint64_t draws
    cdef bint given
    read_out(plan, tape_index(plan, t), 1)
    for lane in range(plan.block.used):
        if t + 1 >= plan.block.length[lane]:
            continue
        row = plan.block.start[lane] + t + 1
        draws = coins(coins(feed.seed, number_of(plan, lane)), <uint64_t>(t + 1))
        given = uniform(draws) < feed.forcing
        if plan.tokens:
            feed.tokens[row] = (
                feed.given_tokens[row] if given else token_of(plan, lane, coins(draws, 1))
            )
            continue
        for k in range(K):
            feed.x[row * K + k] = (
                feed.given_x[row * K + k] if given else plan.block.out[k * plan.lanes + lane]
            )
