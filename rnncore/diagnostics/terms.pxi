# Gradients taken apart: entry points.


cdef Py_ssize_t choose(Sequences* seqs, const int64_t[::1] order) except -1:
    """Take the sequences of this order, which must have one length; return that."""
    cdef Py_ssize_t count = order.shape[0], n, i
    seqs.order = indices("order", &order[0], order.shape, count)
    check_order(seqs.order, count, seqs.count)
    n = seqs.length[seqs.order[0]] if seqs.length != NULL else seqs.time
    for i in range(count):
        if seqs.length != NULL and seqs.length[seqs.order[i]] != n:
            raise ValueError("order: expected sequences of one length")
    return n


def terms(
    Engine engine not None, Batch batch not None, const real[:, ::1] target,
    const int64_t[::1] classes, const real[:, ::1] weight, const real[:, ::1] dy,
    const int64_t[::1] order not None, double scale, real[:, ::1] terms not None,
    double[:, :, ::1] squares not None,
):
    """Every step's part of the gradient of scale times the loss of the sequences in `order` or,
    given dy (B or rows, K), of sum(dy * y), all of one length n, added to terms (n, size);
    |dL/dh|^2 of all slots added to squares (passes, n + 1, 3), see `add_square`.  Subnormals are
    kept.  Returns (sum of the losses, faults)."""
    cdef Plan plan
    cdef Sequences seqs
    cdef Py_ssize_t count = order.shape[0], n, passes, done = 0
    cdef real* grad
    cdef double* sums
    cdef Arena arena = Arena()
    engine.take_batch(&seqs, batch)
    n = choose(&seqs, order)
    passes = engine.net.layers * engine.net.directions
    grad = reals("terms", &terms[0, 0], terms.shape, n, engine.net.size)
    if dy is None:
        engine.set_targets(&seqs, batch, target, classes, weight)
    else:
        seqs.dy = reals("dy", &dy[0, 0], dy.shape, engine.outputs_of(batch), engine.net.outputs)
    engine.prepare(&plan, &seqs, count, True, False, 0, False, 0, engine.net.size)
    sums = &squares[0, 0, 0]
    expect_shape("squares", sums, sizeof(double), squares.shape, [passes, n + 1, 3, -1])
    set_lanes(plan.job.scale, scale)
    plan.tracing = True
    plan.parameters = &engine.flat[0]
    set_out(arena, &plan, &seqs)
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
    Engine engine not None, Batch batch not None, const int64_t[::1] order not None,
    Py_ssize_t which, real[:, :, :, ::1] out not None, real[:, :, :, ::1] out_skip,
):
    """d state_t / d state_{t-1} of a layer in one direction, `which` of all, for sequences
    of one length n, into out (n, count, S, S): the state is h, or of an LSTM [h c]. With a
    skip connection dh_t / dh_{t-s} into out_skip (n, count, H, H)."""
    cdef Plan plan
    cdef Sequences seqs
    cdef Py_ssize_t count = order.shape[0], n, S = engine.net.hidden
    cdef real* numbers
    cdef real* numbers_skip = NULL
    cdef Arena arena = Arena()
    S *= 2 if engine.net.cell.memory else 1
    engine.take_batch(&seqs, batch)
    n = choose(&seqs, order)
    if not 0 <= which < engine.net.layers * engine.net.directions:
        raise ValueError(f"which: no layer {which}")
    numbers = &out[0, 0, 0, 0]
    expect_shape("out", numbers, sizeof(real), out.shape, [n, count, S, S, -1])
    if engine.net.skip:
        numbers_skip = &out_skip[0, 0, 0, 0]
        expect_shape("out_skip", numbers_skip, sizeof(real), out_skip.shape, [n, count, S, S, -1])
    engine.prepare(&plan, &seqs, count, True, False, 0, False, 0, engine.net.size)
    plan.parameters = &engine.flat[0]
    set_out(arena, &plan, &seqs)
    if count > plan.lanes:
        raise ValueError(f"order: expected up to {plan.lanes} sequences, got {count}")
    engine.begin_reading()
    with nogil:
        pack_weights(&plan)
        open_block(&plan, &seqs, 0, count)
        forward_block(&plan, &seqs)
        jacobians_of(&plan, &plan.layers[which], n, numbers, numbers_skip)
        engine.end_reading()
