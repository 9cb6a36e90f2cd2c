# Gradients of whatever is made of outputs and states: in one call, or with the tape kept between
# the forward pass and any number of backward passes.


cdef int set_upstream(
    Engine engine, Sequences* seqs, Py_ssize_t rows, const real[:, ::1] dy,
    const real[:, ::1] dhidden, const real[:, :, ::1] dfinal, const real[:, :, ::1] dfinal_c,
) except -1:
    """The gradients that the caller gives: dy (B or rows, K), dhidden (rows, directions H), dfinal
    and, of an LSTM, dfinal_c (B, states, H)."""
    cdef Network* net = &engine.net
    if dy is not None:
        seqs.dy = reals(
            "dy", &dy[0, 0], dy.shape, rows if net.every_step else seqs.count, net.outputs
        )
    if dhidden is not None:
        seqs.dhidden = reals(
            "dhidden", &dhidden[0, 0], dhidden.shape, rows, net.directions * net.hidden
        )
    if dfinal is not None:
        seqs.dfinal = states("dfinal", &dfinal[0, 0, 0], dfinal.shape, seqs.count, net)
    if dfinal is not None and net.cell.memory:
        seqs.dfinal_c = states("dfinal_c", &dfinal_c[0, 0, 0], dfinal_c.shape, seqs.count, net)
    return 0


cdef int set_downstream(
    Engine engine, Sequences* seqs, Py_ssize_t rows, real[:, ::1] dx, real[:, :, ::1] dh0,
    real[:, :, ::1] dc0,
) except -1:
    """Where gradients are wanted: dx (rows, D), dh0 and, of an LSTM, dc0 (B, states, H).  Rows of
    dx that no gradient comes to, of steps that do not count or lie outside the last truncation
    window, are left alone."""
    cdef Network* net = &engine.net
    if dx is not None:
        if seqs.x == NULL:
            raise ValueError("dx: tokens have no gradient")
        seqs.dx = reals("dx", &dx[0, 0], dx.shape, rows, net.inputs)
    if dh0 is not None:
        seqs.dh0 = states("dh0", &dh0[0, 0, 0], dh0.shape, seqs.count, net)
    if dh0 is not None and net.cell.memory:
        seqs.dc0 = states("dc0", &dc0[0, 0, 0], dc0.shape, seqs.count, net)
    return 0


def vjp(
    Engine engine not None, Batch batch not None, const real[:, ::1] dy,
    const real[:, ::1] dhidden, const real[:, :, ::1] dfinal, const real[:, :, ::1] dfinal_c,
    real[:, ::1] dx, real[:, :, ::1] dh0, real[:, :, ::1] dc0, *, threads=1, dropout_seed=None,
    Py_ssize_t truncate=0,
):
    """(gradients by name, faults) of sum(dy * y) + sum(dhidden * hidden) + sum(dfinal * final), of
    which any may be None."""
    cdef Plan plan
    cdef Sequences seqs
    cdef cnp.ndarray grad = cnp.PyArray_ZEROS(1, [engine.net.size], REAL_NUMBER, 0)
    engine.take_batch(&seqs, batch)
    set_upstream(engine, &seqs, batch.rows, dy, dhidden, dfinal, dfinal_c)
    set_downstream(engine, &seqs, batch.rows, dx, dh0, dc0)
    engine.prepare(
        &plan, &seqs, seqs.count, True, dx is not None, truncate,
        dropout_seed is not None,
    )
    plan.from_outputs = dy is not None
    engine.set_dropout(&plan, dropout_seed)
    engine.run(&plan, &seqs, data_of(grad), threads)
    return views_like(engine.views, engine.flat, grad), plan.result.faults


@cython.no_gc_clear      # `__dealloc__` still needs what it refers to
cdef class Tape:
    """A forward pass, of which everything is kept that a backward pass needs.

    Its memory is the engine's until the tape is gone, as that of a call is until its end.
    """

    cdef Engine engine
    cdef object kept                  # what seqs points into
    cdef Plan plan
    cdef Sequences seqs
    cdef CallMemory memory
    cdef cnp.ndarray parameters, x    # copies; of x or the tokens, where they are read again
    cdef shared_int busy
    cdef readonly int faults
    cdef readonly Py_ssize_t rows

    def __init__(
        self, Engine engine not None, Batch batch not None, real[:, ::1] y not None,
        real[:, ::1] hidden, real[:, :, ::1] final, real[:, :, ::1] final_c, *, threads=1,
        dropout_seed=None,
    ):
        """Outputs and states as of `Engine.forward`."""
        cdef Sequences seqs
        engine.take_batch(&seqs, batch)
        engine.set_outputs(&seqs, batch, y, hidden, final, final_c)
        self.record(engine, &seqs, batch, batch.rows, threads, dropout_seed)

    cdef int check_recorded(self) except -1:
        if self.rows == 0:
            raise RuntimeError("a tape is empty until a forward pass is over")
        return 0

    cdef int record(
        self, Engine engine, const Sequences* given, object kept, Py_ssize_t rows, object threads,
        object dropout_seed,
    ) except -1:
        """Run forward over the sequences, which point into what is to be kept."""
        cdef Plan* plan = &self.plan
        cdef Sequences* seqs = &self.seqs
        if self.memory is not None:
            raise RuntimeError("a tape is of one forward pass")
        seqs[0] = given[0]
        self.engine, self.kept = engine, kept
        engine.prepare(
            plan, seqs, seqs.count, True, seqs.x != NULL, 0, dropout_seed is not None, 0, 0, 0, 1,
            0, True,
        )
        engine.set_dropout(plan, dropout_seed)
        if plan.units_in_lanes or not plan.whole:
            self.keep_input(rows)
        self.memory = engine.take_memory()
        self.memory.set_out(plan, seqs)
        self.parameters = new_array(1, [engine.net.size])
        memcpy(data_of(self.parameters), &engine.flat[0], engine.net.size * sizeof(real))
        engine.run_in(self.memory, plan, seqs, NULL, threads)
        self.faults = plan.result.faults
        seqs.y = seqs.hidden = seqs.final = seqs.final_c = NULL
        self.rows = rows
        return 0

    def __dealloc__(self):
        if self.memory is not None:
            self.engine.leave_memory(self.memory)

    cdef int keep_input(self, Py_ssize_t rows) except -1:
        """A copy of x or of the tokens, which the caller may change meanwhile."""
        cdef Sequences* seqs = &self.seqs
        if seqs.x != NULL:
            self.x = new_array(1, [rows * self.engine.net.inputs])
            memcpy(data_of(self.x), seqs.x, self.x.nbytes)
            seqs.x = data_of(self.x)
        else:
            self.x = cnp.PyArray_SimpleNew(1, [rows], cnp.NPY_INT64)
            memcpy(cnp.PyArray_DATA(self.x), seqs.tokens, self.x.nbytes)
            seqs.tokens = <const int64_t*>cnp.PyArray_DATA(self.x)
        return 0

    def pull(
        self, const real[:, ::1] dy, const real[:, ::1] dhidden, const real[:, :, ::1] dfinal,
        const real[:, :, ::1] dfinal_c, real[:, ::1] dx, real[:, :, ::1] dh0,
        real[:, :, ::1] dc0, *, threads=1, bint params=True,
    ):
        """As `vjp`; without `params` the gradients by name are None."""
        cdef Sequences seqs = self.seqs
        cdef int faults = 0
        cdef dict grads
        self.check_recorded()
        set_upstream(self.engine, &seqs, self.rows, dy, dhidden, dfinal, dfinal_c)
        set_downstream(self.engine, &seqs, self.rows, dx, dh0, dc0)
        grads = self.pull_back(&seqs, threads, params, &faults)
        return grads, faults

    cdef dict pull_back(self, Sequences* seqs, object threads, bint params, int* faults):
        """The backward pass from the gradients that seqs has, to those it has room for; returns
        those of the parameters."""
        cdef Engine engine = self.engine
        cdef Plan* plan = &self.plan
        cdef cnp.ndarray grad = None
        if params:
            grad = cnp.PyArray_ZEROS(1, [engine.net.size], REAL_NUMBER, 0)
        if not shared_swap(&self.busy, 0, 1):
            raise RuntimeError("pull: expected one call at a time; another thread is in one")
        try:
            if memcmp(data_of(self.parameters), &engine.flat[0], self.parameters.nbytes) != 0:
                raise RuntimeError(
                    "pull: expected the network as it was in `linearize`; its parameters have "
                    "been changed since"
                )
            plan.pulled, plan.want_params, plan.want_dx = True, params, seqs.dx != NULL
            plan.from_outputs, plan.from_hidden = seqs.dy != NULL, seqs.dhidden != NULL
            plan.from_final = seqs.dfinal != NULL
            plan.result.faults = 0
            engine.run_in(self.memory, plan, seqs, data_of(grad), threads)
            faults[0] = plan.result.faults
        finally:
            shared_write(&self.busy, 0)
        return views_like(engine.views, engine.flat, grad) if params else None
