# Calls that need no conversion, from Python's arguments to the result in one compiled function.
#
# At one hidden unit the checks in Python, and a memoryview of every array, took longer than the
# network. So a call is tried here first: with arrays of the core's own types, and of the options
# only `threads`, `h0` and `lengths`. Anything else gives None, with nothing done; so do numbers
# that the core cannot work with. Python then goes the way through the checks that explain.

cdef str MEAN = "mean"


cdef bint is_thread_count(threads):
    """Whether it is a number of threads that needs no conversion."""
    return threads is None or type(threads) is int and 1 <= threads < 1000


cdef object take_plain(Engine engine, Sequences* seqs, x, h0, lengths):
    """Sequences of x (B, T, D), states and lengths as they are; returned is what has to be kept for
    them.  None where any of them is anything else."""
    cdef cnp.npy_intp* shape
    cdef State first
    if not is_plain(x) or cnp.PyArray_NDIM(x) != 3 or engine.net.switching:
        return None
    shape = cnp.PyArray_DIMS(x)
    if shape[0] < 1 or shape[1] < 1 or shape[2] != engine.net.inputs:
        return None
    memset(seqs, 0, sizeof(Sequences))
    seqs.count, seqs.time = shape[0], shape[1]
    seqs.x = data_of(x)
    if h0 is not None:
        if not is_state(h0, seqs.count, &engine.net):
            return None
        first = state_of(h0)
        seqs.h0, seqs.c0 = first.h, first.c
    return x if lengths is None else take_lengths(seqs, lengths)


cdef cnp.ndarray take_lengths(Sequences* seqs, lengths):
    """Lengths (B), copied, with the rows and the order of the sequences; None where these are not
    integers of the core's type, or impossible."""
    cdef Py_ssize_t count = seqs.count, i
    cdef cnp.npy_intp* shape = [4, count]
    cdef cnp.ndarray memory
    cdef int64_t* length
    cdef int64_t* start
    cdef int64_t* order
    cdef bint shorter = False
    if not (cnp.PyArray_CheckExact(lengths) and is_plain_of(lengths, c"i", sizeof(int64_t))):
        return None
    if not is_shaped(lengths, 1, count, 0) or count >> 31:
        return None
    memory = cnp.PyArray_SimpleNew(2, shape, cnp.NPY_INT64)
    length = <int64_t*>cnp.PyArray_DATA(memory)
    start, order = length + count, length + 2 * count
    memcpy(length, cnp.PyArray_DATA(lengths), count * sizeof(int64_t))
    for i in range(count):
        if not 1 <= length[i] <= seqs.time:
            return None
        shorter |= length[i] < seqs.time
        start[i], order[i] = i * seqs.time, i
    if shorter:
        sort_by_length(order, count, length, length + 3 * count)
        seqs.length, seqs.start, seqs.order = length, start, order
    return memory


cdef cnp.ndarray take_targets(Engine engine, Sequences* seqs, y):
    """The array of targets that seqs now has: y as it is, or converted where it is of integers or
    booleans; None where it is anything else."""
    if engine.net.loss.evaluate == NULL:
        return None
    if not engine.net.loss.classes:
        y = as_plain(y)
        if y is None or not is_per_output(engine, seqs, y, target_width(&engine.net)):
            return None
        seqs.target = data_of(y)
        return y
    if not cnp.PyArray_CheckExact(y) or not is_plain_of(y, c"i", sizeof(int64_t)):
        return None
    if not is_per_output(engine, seqs, y, 0):
        return None
    seqs.classes = <const int64_t*>cnp.PyArray_DATA(y)
    return y


cdef bint is_per_output(
    Engine engine, const Sequences* seqs, cnp.ndarray values, Py_ssize_t width,
) noexcept:
    """Whether it is (B, width), or of a read-out "all" (B, T, width). Where width is 1 the last
    axis may be left out; where it is 0 there is none."""
    cdef int leading = 2 if engine.net.every_step else 1, ndim = cnp.PyArray_NDIM(values)
    cdef cnp.npy_intp* shape = cnp.PyArray_DIMS(values)
    if ndim == leading + 1:
        if width == 0 or shape[leading] != width:
            return False
    elif ndim != leading or width > 1:
        return False
    return shape[0] == seqs.count and (leading == 1 or shape[1] == seqs.time)


cdef cnp.ndarray new_outputs(const Sequences* seqs, Py_ssize_t width):
    """(B, T, width), with zeros where sequences may end before."""
    cdef cnp.npy_intp* shape = [seqs.count, seqs.time, width]
    if seqs.length != NULL:
        return cnp.PyArray_ZEROS(3, shape, REAL_NUMBER, 0)
    return new_array(3, shape)


def plain_forward(Engine engine not None, x, h0, lengths, mask, threads, bint states):
    """y as `Output` has it, with `states` (y, hidden, final); None unless all are plain."""
    cdef Plan plan
    cdef Sequences seqs
    cdef State last
    cdef cnp.ndarray y, hidden = None
    cdef object final = None, kept
    if not (mask is None and is_thread_count(threads) and (states or lengths is None)):
        return None
    kept = take_plain(engine, &seqs, x, h0, lengths)
    if kept is None:
        return None
    if engine.net.every_step:
        y = new_outputs(&seqs, engine.net.outputs)
    else:
        y = new_reals(2, seqs.count, engine.net.outputs)
    seqs.y = data_of(y)
    if states:
        hidden = new_outputs(&seqs, engine.net.directions * engine.net.hidden)
        final = new_state(seqs.count, &engine.net)
        last = state_of(final)
        seqs.hidden, seqs.final, seqs.final_c = data_of(hidden), last.h, last.c
    engine.prepare(&plan, &seqs, seqs.count, False, False)
    engine.run(&plan, &seqs, NULL, threads)
    if plan.result.faults:
        return None
    return (y, hidden, final) if states else y


def plain_loss(
    Engine engine not None, x, y, h0, lengths, mask, threads, target_mask, sample_weight, reduction,
):
    """The mean loss of plain arrays; None for anything else."""
    cdef Plan plan
    cdef Sequences seqs
    cdef cnp.ndarray targets
    cdef double count
    cdef object kept
    if not (
        mask is None and is_thread_count(threads) and target_mask is None and sample_weight is None
        and reduction is MEAN
    ):
        return None
    kept = take_plain(engine, &seqs, x, h0, lengths)
    if kept is None:
        return None
    targets = take_targets(engine, &seqs, y)
    if targets is None:
        return None
    engine.prepare(&plan, &seqs, seqs.count, False, False)
    engine.run(&plan, &seqs, NULL, threads)
    count = count_targets(&engine.net, &seqs, 0, seqs.count)
    if plan.result.faults or not count or not isfinite(plan.result.loss):
        return None
    return plan.result.loss / count


def plain_gradient(
    Engine engine not None, x, y, h0, lengths, mask, threads, rng, truncate, target_mask,
    reduction, sample_weight,
):
    """(mean loss, gradients by name) of plain arrays; None for anything else."""
    cdef Plan plan
    cdef Sequences seqs
    cdef cnp.ndarray targets, grad
    cdef double count
    cdef object kept
    if not (
        mask is None and is_thread_count(threads) and rng is None and truncate is None
        and target_mask is None and sample_weight is None and reduction is MEAN
    ):
        return None
    kept = take_plain(engine, &seqs, x, h0, lengths)
    if kept is None:
        return None
    targets = take_targets(engine, &seqs, y)
    if targets is None:
        return None
    count = count_targets(&engine.net, &seqs, 0, seqs.count)
    if count == 0:
        return None
    grad = cnp.PyArray_ZEROS(1, [engine.net.size], REAL_NUMBER, 0)
    engine.prepare(&plan, &seqs, seqs.count, True, False)
    set_lanes(plan.job.scale, 1 / count)
    engine.run(&plan, &seqs, data_of(grad), threads)
    if plan.result.faults or not isfinite(plan.result.loss):
        return None
    return plan.result.loss / count, views_like(engine.views, engine.flat, grad)


def plain_vjp(Engine engine not None, x, dy, h0, lengths, mask, threads, rng, truncate):
    """(gradients by name, dx, dh0) of plain arrays; None for anything else."""
    cdef Plan plan
    cdef Sequences seqs
    cdef State first
    cdef cnp.ndarray upstream, grad, dx
    cdef object kept, dh0
    if not (mask is None and is_thread_count(threads) and rng is None and truncate is None):
        return None
    kept = take_plain(engine, &seqs, x, h0, lengths)
    if kept is None:
        return None
    upstream = as_plain(dy)
    if upstream is None or not is_per_output(engine, &seqs, upstream, engine.net.outputs):
        return None
    grad = cnp.PyArray_ZEROS(1, [engine.net.size], REAL_NUMBER, 0)
    dx, dh0 = new_outputs(&seqs, engine.net.inputs), new_state(seqs.count, &engine.net)
    first = state_of(dh0)
    seqs.dy, seqs.dx, seqs.dh0, seqs.dc0 = data_of(upstream), data_of(dx), first.h, first.c
    engine.prepare(&plan, &seqs, seqs.count, True, True)
    set_lanes(plan.job.scale, 1)
    engine.run(&plan, &seqs, data_of(grad), threads)
    if plan.result.faults:
        return None
    return views_like(engine.views, engine.flat, grad), dx, dh0
