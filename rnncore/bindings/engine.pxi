# A network's entry points: arrays are checked, the GIL is released, the loops run.


cdef class Engine:
    """A network on its flat parameter vector, which it shares with the caller; `views` are
    the parameters in it by name."""

    cdef Network net
    cdef int cell, loss_number   # in the tables of cells and losses
    cdef Arena layer_memory
    cdef Layer* layers           # (layers times directions) where their parameters are
    cdef real[::1] flat
    cdef dict views
    cdef CallMemory memory       # of the last call, for the next; None while one uses it
    # Calls that read the parameters just now; -1: one writes. See `users_of`.
    cdef shared_int readers
    # Whether what was made of the parameters is still valid: for every change that the core
    # knows of, another version; and whether others may change them at any time.
    cdef Py_ssize_t version
    cdef shared_int exposed

    def __cinit__(
        self, real[::1] flat not None, dict views not None, Py_ssize_t inputs, Py_ssize_t hidden,
        Py_ssize_t outputs, *, int cell, Py_ssize_t layers, bint bidirectional, Py_ssize_t skip,
        bint switching, bint bias, bint head, bint head_bias, bint start, bint every_step,
        bint before, Nonlinearity nonlinearity, int loss, double dropout,
        double recurrent_dropout, double zoneout, double zoneout_c,
    ):
        """outputs: K; without a head, the states' width.  skip: s, 0 where there is none.
        start: the first states are parameters, "h0" (and "c0"), one for all sequences."""
        cdef Network* net = &self.net
        self.cell, self.loss_number = cell, loss
        if not describe(&net.cell, cell):
            raise ValueError(f"cell: there is no number {cell}")
        net.gates = gates_of(&net.cell)
        net.inputs, net.hidden, net.outputs = inputs, hidden, outputs
        net.layers, net.directions, net.skip = layers, 2 if bidirectional else 1, skip
        net.switching, net.has_stream = switching, not bidirectional and not switching
        if switching and (net.cell.gate != NULL or skip or layers > 1 or bidirectional):
            raise ValueError("switching: expected one layer of a cell that has one product of h")
        net.has_bias, net.has_head, net.has_start = bias, head, start
        net.has_head_bias = head and head_bias
        net.every_step, net.before, net.nonlinearity = every_step, before, nonlinearity
        if before and (bidirectional or not every_step):
            raise ValueError("before: expected an output for every step, and one direction")
        if not describe_loss(&net.loss, loss) and loss != 0:
            raise ValueError(f"loss: there is no number {loss}")
        net.dropout, net.recurrent_dropout = dropout, recurrent_dropout
        net.zoneout, net.zoneout_c = zoneout, zoneout_c if net.cell.memory else 0
        if not 1 <= layers * net.directions <= MOST_PASSES:
            raise ValueError(f"layers: expected up to {MOST_PASSES} in all, got {layers}")
        self.layer_memory = Arena()
        self.layer_memory.fit(layers * net.directions * sizeof(Layer))
        self.layers = <Layer*>self.layer_memory.base
        memset(self.layers, 0, layers * net.directions * sizeof(Layer))
        place_parameters(net, self.layers)
        reals("flat", &flat[0], flat.shape, net.size)
        if not head:
            expect("outputs", outputs, net.directions * hidden)
        self.flat, self.views = flat, views

    cdef int take_batch(self, Sequences* seqs, Batch batch) except -1:
        """The sequences of a batch, which must be of this network's sizes."""
        seqs[0] = batch.seqs
        if seqs.x != NULL:
            if self.net.switching:
                raise ValueError("x: expected tokens with switching")
            reals("x", &batch.x[0, 0], batch.x.shape, batch.rows, self.net.inputs)
        if batch.h0 is not None:
            seqs.h0 = states("h0", &batch.h0[0, 0, 0], batch.h0.shape, seqs.count, &self.net)
            if self.net.cell.memory:
                seqs.c0 = states("c0", &batch.c0[0, 0, 0], batch.c0.shape, seqs.count, &self.net)
        return 0

    cdef int prepare(
        self, Plan* plan, const Sequences* seqs, Py_ssize_t count, bint backward, bint want_dx,
        Py_ssize_t truncate=0, bint drawing=False, double activation=0, Py_ssize_t term=0,
        int vectors=0, int groups=1, int most_vectors=0, bint lasting=False, bint dual=False,
    ) except -1:
        """A plan for blocks of `count` of the sequences, but for its memory.  With `vectors` a
        plan for models in the lanes, in so many groups, and a block of so many vectors; its
        segments are as long as with `most_vectors`.  `lasting`: all tapes are kept, for backward
        passes from anything.  `drawing`: with dropout and zoneout, from seeds to be set.  `dual`:
        numbers are dual, in float64."""
        cdef double tape
        cdef Py_ssize_t passes = self.net.layers * self.net.directions
        memset(&plan.job, 0, sizeof(Job))
        memset(&plan.block, 0, sizeof(Block))
        memset(&plan.result, 0, sizeof(Result))
        memcpy(plan.layers, self.layers, passes * sizeof(Layer))
        plan.net, plan.passes = self.net, passes
        plan.dual, plan.gauss_newton = dual, False
        if has_duals(plan):
            describe_dual(&plan.net.cell, self.cell)
            describe_dual_loss(&plan.net.loss, self.loss_number)
        if seqs.soft:
            plan.net.loss.evaluate, plan.net.loss.classes = plan.net.loss.soft, False
        plan.tokens = seqs.tokens != NULL
        plan.masked = seqs.mask != NULL
        plan.ragged = seqs.length != NULL or plan.masked
        plan.backward = backward
        plan.job.drawing = drawing and is_random(&self.net)
        plan.noisy = self.net.switching or zones_out(&self.net)
        plan.noisy = plan.noisy or drawing and self.net.recurrent_dropout > 0
        plan.want_dx, plan.want_params, plan.tracing = want_dx, backward, False
        plan.from_outputs = True
        plan.from_hidden = lasting or seqs.dhidden != NULL
        plan.from_final = lasting or seqs.dfinal != NULL
        plan.lasting, plan.pulled = lasting, False
        plan.feed = NULL
        plan.truncate, plan.job.penalised, plan.term = truncate, activation > 0, term
        plan.models_in_lanes, plan.vectors, plan.groups = vectors > 0, vectors, groups
        plan.most_vectors = most_vectors
        choose_block(plan, count, seqs.time)
        tape = <double>(plan.slots + plan.net.skip) * plan.lanes * (tape_rows(plan) + 2)
        tape *= sizeof(real)
        if tape > <double>(PY_SSIZE_T_MAX // 4):
            raise MemoryError(f"x: {tape:.3g} bytes for the tape of this call")
        return 0

    cdef int run(self, Plan* plan, Sequences* seqs, real* grad, object threads) except -1:
        cdef CallMemory memory = self.take_memory()
        memory.set_out(plan, seqs)
        self.run_in(memory, plan, seqs, grad, threads)
        self.leave_memory(memory)
        return 0

    cdef int run_in(
        self, CallMemory memory, Plan* plan, Sequences* seqs, real* grad, object threads,
    ) except -1:
        """In memory that is set out."""
        if not plan.dual:        # else they are the caller's
            plan.parameters = &self.flat[0]
        if groups_of(plan, seqs.count, seqs.time) == 1:
            return self.run_alone(memory, plan, seqs, grad)
        return self.run_shared(memory, plan, seqs, grad, threads)

    cdef CallMemory take_memory(self):
        cdef CallMemory memory = self.swap_memory(None)
        return CallMemory() if memory is None else memory

    cdef void leave_memory(self, CallMemory memory):
        if memory.size + memory.weights.size <= KEEP_BYTES:
            self.swap_memory(memory)

    cdef CallMemory swap_memory(self, CallMemory memory):
        """Take the memory and leave another, or None, as one act: two threads must never have
        the same.  (Where there is a GIL, it sees to that.)"""
        cdef CallMemory taken
        with cython.critical_section(self):
            taken, self.memory = self.memory, memory
        return taken

    cdef inline bint has_changed(
        self, Py_ssize_t version, const real* copy, const real* now, Py_ssize_t n,
    ) noexcept nogil:
        """Whether parameters are no longer those of `copy`, made of that version."""
        if version != self.version:
            return True
        return shared_read(&self.exposed) and memcmp(copy, now, n * sizeof(real)) != 0

    cdef void pack(self, CallMemory memory, Plan* plan) noexcept nogil:
        """Pack the weights, where they are not there already."""
        cdef const real* parameters = plan.parameters
        cdef Py_ssize_t n = self.net.size
        if plan.pulled:
            return
        if plan.dual:            # of the caller, who has not had the same ones before
            pack_weights(plan)
            memory.version = -1
        elif self.has_changed(memory.version, memory.copy, parameters, n):
            memcpy(memory.copy, parameters, n * sizeof(real))
            plan.parameters = memory.copy    # whatever others write meanwhile
            pack_weights(plan)
            plan.parameters = parameters
            memory.version = self.version

    cdef int run_alone(
        self, CallMemory memory, Plan* plan, Sequences* seqs, real* grad,
    ) except -1:
        self.begin_reading()
        with nogil:
            self.pack(memory, plan)
            work(plan, seqs, 0, seqs.count, grad)
            # Before waiting for the GIL: the thread that has it may be about to fit.
            self.end_reading()
        return 0

    cdef int run_shared(
        self, CallMemory memory, Plan* plan, Sequences* seqs, real* grad, object threads,
    ) except -1:
        cdef ThreadPool pool = ThreadPool()
        pool.plan, pool.seqs, pool.grad = plan, seqs, grad
        pool.first, pool.count = 0, seqs.count
        pool.divide()
        self.begin_reading()
        try:
            pool.call_helpers(threads, CALL_WORTH_SHARING)
        except BaseException:
            self.end_reading()
            raise
        with nogil:
            self.pack(memory, plan)
            pool.work_together()
            pool.dismiss()
            self.end_reading()
        return 0

    # Parameters must not change under a call: any number of calls may read them at
    # once; one that writes them must be the only one.

    cdef int begin_reading(self) except -1:
        cdef int64_t readers = shared_read(&self.readers)
        while users_of(readers) >= 0:
            if shared_swap(&self.readers, readers, count_of(users_of(readers) + 1)):
                return 0
            readers = shared_read(&self.readers)
        raise RuntimeError(
            "this network is being changed by another thread: expected to have it alone; "
            "use a copy of it (copy.deepcopy)"
        )

    cdef void end_reading(self) noexcept nogil:
        shared_add(&self.readers, -1)

    cdef int begin_writing(self, str who) except -1:
        cdef int64_t readers = shared_read(&self.readers)
        if users_of(readers) != 0 or not shared_swap(&self.readers, readers, count_of(-1)):
            raise RuntimeError(
                f"{who}: this network is in use by another thread: expected to have it alone; "
                "use a copy of it (copy.deepcopy)"
            )
        return 0

    cdef void end_writing(self) noexcept:
        self.version += 1
        shared_write(&self.readers, count_of(0))

    cdef int overwrite(self, str who, const real* parameters) except -1:
        """Other parameters."""
        self.begin_writing(who)
        memcpy(&self.flat[0], parameters, self.net.size * sizeof(real))
        self.end_writing()
        return 0

    def assign(
        self, str who not None, const real[::1] parameters not None,
        const unsigned char[::1] given not None,
    ):
        """Other parameters (size), as `who` wants; those for which `given` (size) is 0 stay as they
        are."""
        cdef Py_ssize_t i
        reals("parameters", &parameters[0], parameters.shape, self.net.size)
        flags("given", &given[0], given.shape, self.net.size)
        self.begin_writing(who)
        for i in range(self.net.size):
            if given[i]:
                self.flat[i] = parameters[i]
        self.end_writing()

    def note_exposure(self):
        """From now on somebody may write to the parameters unnoticed."""
        shared_write(&self.exposed, 1)

    cdef int set_targets(
        self, Sequences* seqs, Batch batch, const real[:, ::1] target,
        const int64_t[::1] classes, const real[:, ::1] weight,
    ) except -1:
        cdef Py_ssize_t count = self.outputs_of(batch), width = target_width(&self.net)
        if self.net.loss.evaluate == NULL:
            raise ValueError("this network has no loss")
        if self.net.loss.soft != NULL and classes is None and target is not None:
            seqs.soft, width = True, 1
            seqs.target = reals("target", &target[0, 0], target.shape, count, self.net.outputs)
        elif self.net.loss.classes:
            seqs.classes = indices("classes", &classes[0], classes.shape, count)
        else:
            seqs.target = reals("target", &target[0, 0], target.shape, count, width)
        if weight is not None:
            seqs.target_weight = reals("weight", &weight[0, 0], weight.shape, count, width)
        return 0

    cdef Py_ssize_t outputs_of(self, Batch batch) noexcept:
        """How many outputs there are: one for every row, or for every sequence."""
        return batch.rows if self.net.every_step else batch.seqs.count

    cdef int set_outputs(
        self, Sequences* seqs, Batch batch, real[:, ::1] y, real[:, ::1] hidden,
        real[:, :, ::1] final, real[:, :, ::1] final_c,
    ) except -1:
        """Where outputs and states are wanted."""
        cdef Network* net = &self.net
        seqs.y = reals("y", &y[0, 0], y.shape, self.outputs_of(batch), net.outputs)
        if hidden is not None:
            seqs.hidden = reals(
                "hidden", &hidden[0, 0], hidden.shape, batch.rows, net.directions * net.hidden
            )
        if final is not None:
            seqs.final = states("final", &final[0, 0, 0], final.shape, seqs.count, net)
        if final is not None and net.cell.memory:
            seqs.final_c = states("final_c", &final_c[0, 0, 0], final_c.shape, seqs.count, net)
        return 0

    def forward(
        self, Batch batch not None, real[:, ::1] y not None, real[:, ::1] hidden,
        real[:, :, ::1] final, real[:, :, ::1] final_c, threads=1,
    ):
        """Outputs into y (B or rows, K), states into hidden (rows, directions H), final and, of an
        LSTM, final_c (B, states, H).  Rows of steps that do not count are left alone.
        Returns the faults met."""
        cdef Plan plan
        cdef Sequences seqs
        self.take_batch(&seqs, batch)
        self.set_outputs(&seqs, batch, y, hidden, final, final_c)
        self.prepare(&plan, &seqs, seqs.count, False, False)
        self.run(&plan, &seqs, NULL, threads)
        return plan.result.faults

    def loss(
        self, Batch batch not None, const real[:, ::1] target, const int64_t[::1] classes,
        const real[:, ::1] weight, threads=1, real[:, ::1] losses=None,
    ):
        """(sum of the losses, times weights where these are given; what it is to be divided by
        for the mean; faults).  The loss of each target goes into losses (B or rows, K; of classes
        1), but those of steps that do not count are left alone."""
        cdef Plan plan
        cdef Sequences seqs
        self.take_batch(&seqs, batch)
        self.set_targets(&seqs, batch, target, classes, weight)
        if losses is not None:
            seqs.losses = reals(
                "losses", &losses[0, 0], losses.shape, self.outputs_of(batch),
                target_width(&self.net),
            )
        self.prepare(&plan, &seqs, seqs.count, False, False)
        self.run(&plan, &seqs, NULL, threads)
        return plan.result.loss, count_targets(&self.net, &seqs, 0, seqs.count), plan.result.faults

    def gradient(
        self, Batch batch not None, const real[:, ::1] target, const int64_t[::1] classes,
        const real[:, ::1] weight, *, threads=1, dropout_seed=None, Py_ssize_t truncate=0,
        bint mean=True,
    ):
        """Gradients of the mean or the sum of the losses against the targets.  With a dropout_seed
        dropout and zoneout are drawn; truncate: steps of a truncation window.

        Returns (loss, gradients by name, faults); the mean is NaN where no target counts.
        """
        cdef Plan plan
        cdef Sequences seqs
        cdef double count = 1
        cdef cnp.ndarray grad = cnp.PyArray_ZEROS(1, [self.net.size], REAL_NUMBER, 0)
        self.take_batch(&seqs, batch)
        self.set_targets(&seqs, batch, target, classes, weight)
        if mean:
            count = count_targets(&self.net, &seqs, 0, seqs.count)
        self.prepare(
            &plan, &seqs, seqs.count, True, False, truncate, dropout_seed is not None
        )
        set_lanes(plan.job.scale, 1 / count if count else 0)
        self.set_dropout(&plan, dropout_seed)
        self.run(&plan, &seqs, data_of(grad), threads)
        return (
            plan.result.loss / count if count else float("nan"),
            views_like(self.views, self.flat, grad),
            plan.result.faults,
        )

    cdef int set_dropout(self, Plan* plan, seed) except -1:
        """None: nothing is drawn."""
        if seed is not None:
            set_seeds(&plan.job, seed)
        return 0
