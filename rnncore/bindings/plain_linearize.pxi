# `linearize` and its pulls, where they need no conversion: see plain_calls.pxi.


def plain_linearize(
    Engine engine not None, x, h0, lengths, mask, rng, threads, states,
):
    """((y, hidden, final), tape) of plain arrays; None for anything else.  hidden is None unless
    states are wanted."""
    cdef Sequences seqs
    cdef State last
    cdef Tape tape
    cdef cnp.ndarray y, hidden = None
    cdef object final, kept
    if not (
        mask is None and rng is None and is_thread_count(threads) and type(states) is bool
    ):
        return None
    kept = take_plain(engine, &seqs, x, h0, lengths)
    if kept is None:
        return None
    if engine.net.every_step:
        y = new_outputs(&seqs, engine.net.outputs)
    else:
        y = new_reals(2, seqs.count, engine.net.outputs)
    if states:
        hidden = new_outputs(&seqs, engine.net.directions * engine.net.hidden)
    final = new_state(seqs.count, &engine.net)
    last = state_of(final)
    seqs.y, seqs.hidden = data_of(y), data_of(hidden)
    seqs.final, seqs.final_c = last.h, last.c
    tape = Tape.__new__(Tape)
    tape.record(engine, &seqs, (kept, x, h0), seqs.count * seqs.time, threads, None)
    return None if tape.faults else ((y, hidden, final), tape)


def plain_pull(Tape tape not None, dy, dhidden, dfinal, threads, dx, params):
    """(gradients by name, dx, dh0) of a tape of plain arrays; None for anything else."""
    cdef Sequences seqs = tape.seqs
    cdef Engine engine = tape.engine
    cdef State state
    cdef cnp.ndarray upstream = None, downstream = None
    cdef object dh0
    cdef dict grads
    cdef int faults = 0
    tape.check_recorded()
    if type(dx) is not bool or type(params) is not bool or not is_thread_count(threads):
        return None
    if dy is None and dhidden is None and dfinal is None:
        return None
    if dy is not None:
        upstream = as_plain(dy)
        if upstream is None or not is_per_output(engine, &seqs, upstream, engine.net.outputs):
            return None
        seqs.dy = data_of(upstream)
    if dhidden is not None:
        if not is_plain(dhidden) or not is_per_step(&seqs, dhidden, engine):
            return None
        seqs.dhidden = data_of(dhidden)
    if dfinal is not None:
        if not is_state(dfinal, seqs.count, &engine.net):
            return None
        state = state_of(dfinal)
        seqs.dfinal, seqs.dfinal_c = state.h, state.c
    if dx:
        downstream = new_outputs(&seqs, engine.net.inputs)
    dh0 = new_state(seqs.count, &engine.net)
    state = state_of(dh0)
    seqs.dx, seqs.dh0, seqs.dc0 = data_of(downstream), state.h, state.c
    grads = tape.pull_back(&seqs, threads, params, &faults)
    return None if faults else (grads, downstream, dh0)


cdef bint is_per_step(const Sequences* seqs, cnp.ndarray states, Engine engine) noexcept:
    """Whether it is (B, T, directions H)."""
    cdef cnp.npy_intp* shape = cnp.PyArray_DIMS(states)
    return (
        cnp.PyArray_NDIM(states) == 3 and shape[0] == seqs.count and shape[1] == seqs.time
        and shape[2] == engine.net.directions * engine.net.hidden
    )
