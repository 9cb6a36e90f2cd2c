# Gradients taken apart: entry points.


cdef Py_ssize_t choose(Sequences* seqs, cnp.ndarray order) except -1:
    """Take the sequences of this order, which must have one length; return that."""
    cdef Py_ssize_t count = cnp.PyArray_SIZE(order), n, i
    seqs.order = indices("order", order, count)
    check_order(seqs.order, count, seqs.count)
    n = seqs.length[seqs.order[0]] if seqs.length != NULL else seqs.time
    for i in range(count):
        if seqs.length != NULL and seqs.length[seqs.order[i]] != n:
            raise ValueError("order: expected sequences of one length")
    return n


def terms(
    Engine engine not None, Batch batch not None, cnp.ndarray target, cnp.ndarray classes,
    cnp.ndarray weight, cnp.ndarray dy, cnp.ndarray order not None, double scale,
    cnp.ndarray terms not None, cnp.ndarray squares not None,
):
    """Every step's part of the gradient of scale times the loss of the sequences in `order` or,
    given dy (B or rows, K), of sum(dy * y), all of one length n, added to terms (n, size);
    |dL/dh|^2 of all slots added to squares (passes, n + 1, 3), see `add_square`.  Subnormals are
    kept.  Returns (sum of the losses, faults)."""
    cdef Plan plan
    cdef Sequences seqs
    cdef Py_ssize_t count = cnp.PyArray_SIZE(order), n, passes, done = 0
    cdef real* grad
    cdef double* sums
    cdef Arena arena = Arena()
    engine.take_batch(&seqs, batch)
    n = choose(&seqs, order)
    passes = engine.net.layers * engine.net.directions
    grad = writable("terms", terms, n * engine.net.size)
    if dy is None:
        engine.set_targets(&seqs, batch, target, classes, weight)
    else:
        seqs.dy = reals(
            "dy", dy, (batch.rows if engine.net.every_step else seqs.count) * engine.net.outputs
        )
    engine.prepare(&plan, &seqs, count, True, False, 0, 0, engine.net.size)
    sums = <double*>contents("squares", squares, c"f", 8, 3 * passes * (n + 1))
    plan.job.scale, plan.tracing = scale, True
    plan.parameters = &engine.flat[0]
    set_out(arena, &plan, &seqs)
    if engine.net.cell.memory:
        split_states(&seqs, engine.states(seqs.count) // 2)
    engine.begin_reading()
    with nogil:
        pack_weights(&plan)
        for done in range(passes):
            clear_sums(&plan, &plan.layers[done])
        done = 0
        while done < count:
            open_block(&plan, &seqs, done, min(plan.lanes, count - done))
            forward_block(&plan, &seqs)
            backward_block(&plan, &seqs, grad)
            add_squares(&plan, sums)
            done += plan.block.used
        engine.end_reading()
    return plan.result.loss, plan.result.faults


def jacobians(
    Engine engine not None, Batch batch not None, cnp.ndarray order not None, Py_ssize_t which,
    cnp.ndarray out not None, cnp.ndarray out_skip,
):
    """d state_t / d state_{t-1} of a layer in one direction, `which` of all, for sequences
    of one length n, into out (n, count, S, S): the state is h, or of an LSTM [h c]. With a
    skip connection dh_t / dh_{t-s} into out_skip (n, count, H, H)."""
    cdef Plan plan
    cdef Sequences seqs
    cdef Py_ssize_t count = cnp.PyArray_SIZE(order), n, S = engine.net.hidden
    cdef real* numbers
    cdef real* numbers_skip = NULL
    cdef Arena arena = Arena()
    S *= 2 if engine.net.cell.memory else 1
    engine.take_batch(&seqs, batch)
    n = choose(&seqs, order)
    if not 0 <= which < engine.net.layers * engine.net.directions:
        raise ValueError(f"which: no layer {which}")
    numbers = writable("out", out, n * count * S * S)
    if engine.net.skip:
        numbers_skip = writable("out_skip", out_skip, n * count * S * S)
    engine.prepare(&plan, &seqs, count, True, False, 0, 0, engine.net.size)
    plan.parameters = &engine.flat[0]
    set_out(arena, &plan, &seqs)
    if count > plan.lanes:
        raise ValueError(f"order: expected up to {plan.lanes} sequences, got {count}")
    if engine.net.cell.memory:
        split_states(&seqs, engine.states(seqs.count) // 2)
    engine.begin_reading()
    with nogil:
        pack_weights(&plan)
        open_block(&plan, &seqs, 0, count)
        forward_block(&plan, &seqs)
        jacobians_of(&plan, &plan.layers[which], n, numbers, numbers_skip)
        engine.end_reading()
