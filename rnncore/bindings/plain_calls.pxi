# Calls that need no conversion, from Python's arguments to the result in one compiled function.
#
# At one hidden unit the checks in Python, and a view of every array, took longer than the network.
# So a call is tried here first: with arrays of the core's own type and no options but `threads`.
# Anything else gives None, with nothing done; so do numbers that the core cannot work with. Python
# then goes the way through the checks that explain.

cdef str MEAN = "mean"


cdef bint is_thread_count(threads):
    """Whether it is a number of threads that needs no conversion."""
    return threads is None or type(threads) is int and 1 <= threads < 1000


cdef bint take_plain(Engine engine, Sequences* seqs, x) noexcept:
    """Sequences of x (B, T, D) as they are; false where it is anything else."""
    cdef cnp.npy_intp* shape
    if not is_plain(x) or cnp.PyArray_NDIM(x) != 3:
        return False
    shape = cnp.PyArray_DIMS(x)
    if shape[0] < 1 or shape[1] < 1 or shape[2] != engine.net.inputs:
        return False
    memset(seqs, 0, sizeof(Sequences))
    seqs.count, seqs.time = shape[0], shape[1]
    seqs.x = data_of(x)
    return True


cdef cnp.ndarray take_targets(Engine engine, Sequences* seqs, y):
    """The array of targets that seqs now has: y as it is, or converted where it is of integers or
    booleans; None where it is anything else."""
    cdef Py_ssize_t width = target_width(&engine.net)
    cdef int leading = 2 if engine.net.every_step else 1, ndim
    cdef cnp.npy_intp* shape
    if engine.net.loss.evaluate == NULL:
        return None
    if not engine.net.loss.classes:
        y = as_plain(y)
    elif not cnp.PyArray_CheckExact(y) or not is_plain_of(y, c"i", sizeof(int64_t)):
        return None
    if y is None:
        return None
    ndim, shape = cnp.PyArray_NDIM(y), cnp.PyArray_DIMS(y)
    if ndim == leading + 1 and (engine.net.loss.classes or shape[leading] != width):
        return None
    if ndim != leading + 1 and (ndim != leading or width != 1):
        return None
    if shape[0] != seqs.count or (leading == 2 and shape[1] != seqs.time):
        return None
    if engine.net.loss.classes:
        seqs.classes = <const int64_t*>cnp.PyArray_DATA(y)
    else:
        seqs.target = data_of(y)
    return y


cdef cnp.ndarray new_outputs(const Sequences* seqs, Py_ssize_t width):
    """(B, T, width)"""
    cdef cnp.npy_intp* shape = [seqs.count, seqs.time, width]
    return new_array(3, shape)


cdef cnp.ndarray new_states(const Network* net, const Sequences* seqs):
    """(B, states, H), of an LSTM (2, B, states, H)"""
    cdef cnp.npy_intp* shape = [2, seqs.count, state_rows(net), net.hidden]
    return new_array(4, shape) if net.cell.memory else new_array(3, shape + 1)


def plain_forward(Engine engine not None, x, h0, lengths, mask, threads, bint states):
    """y as `Output` has it; with `states` (y, hidden, final); None for anything but x alone."""
    cdef Plan plan
    cdef Sequences seqs
    cdef cnp.ndarray y, hidden = None, final = None
    if not (h0 is None and lengths is None and mask is None and is_thread_count(threads)):
        return None
    if not take_plain(engine, &seqs, x):
        return None
    if engine.net.every_step:
        y = new_outputs(&seqs, engine.net.outputs)
    else:
        y = new_reals(2, seqs.count, engine.net.outputs)
    seqs.y = data_of(y)
    if states:
        hidden = new_outputs(&seqs, engine.net.directions * engine.net.hidden)
        final = new_states(&engine.net, &seqs)
        seqs.hidden, seqs.final = data_of(hidden), data_of(final)
    engine.prepare(&plan, &seqs, seqs.count, False, False)
    engine.run(&plan, &seqs, NULL, threads)
    if plan.result.faults:
        return None
    return (y, hidden, final) if states else y


def plain_loss(
    Engine engine not None, x, y, h0, lengths, mask, threads, target_mask, sample_weight, reduction,
):
    """The mean loss of x and y alone; None for anything else."""
    cdef Plan plan
    cdef Sequences seqs
    cdef cnp.ndarray targets
    cdef double count
    if not (
        h0 is None and lengths is None and mask is None and is_thread_count(threads)
        and target_mask is None and sample_weight is None and reduction is MEAN
    ):
        return None
    if not take_plain(engine, &seqs, x):
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
    """(mean loss, gradients by name) of x and y alone; None for anything else."""
    cdef Plan plan
    cdef Sequences seqs
    cdef cnp.ndarray targets, grad
    cdef double count
    if not (
        h0 is None and lengths is None and mask is None and is_thread_count(threads) and rng is None
        and truncate is None and target_mask is None and sample_weight is None
        and reduction is MEAN
    ):
        return None
    if not take_plain(engine, &seqs, x):
        return None
    targets = take_targets(engine, &seqs, y)
    if targets is None:
        return None
    count = count_targets(&engine.net, &seqs, 0, seqs.count)
    if count == 0:
        return None
    grad = cnp.PyArray_ZEROS(1, [engine.net.size], REAL_NUMBER, 0)
    engine.prepare(&plan, &seqs, seqs.count, True, False)
    plan.job.scale = 1 / count
    engine.run(&plan, &seqs, data_of(grad), threads)
    if plan.result.faults or not isfinite(plan.result.loss):
        return None
    return plan.result.loss / count, views_like(engine.views, engine.vector, grad)
