# The whole fit: epochs, shuffling, minibatches, loss, BPTT, clipping and update.

cdef enum:
    SIGNALS_EVERY = 100_000_000   # multiply-adds between two checks for Ctrl-C: some 10 ms


cdef int check_signals() except -1 with gil:
    return PyErr_CheckSignals()


cdef class Held:
    """Sequences that are only looked at, after every epoch."""

    cdef Batch batch
    cdef const real[:, ::1] target, weight
    cdef const int64_t[::1] classes, order
    cdef Arena block
    cdef Plan plan
    cdef Sequences seqs
    cdef Py_ssize_t count
    cdef double counted

    def __cinit__(
        self, Engine engine not None, Batch batch not None, const real[:, ::1] target,
        const int64_t[::1] classes, const real[:, ::1] weight, const int64_t[::1] order not None,
    ):
        """order: which of the sequences, in which order."""
        self.batch, self.target, self.classes, self.weight = batch, target, classes, weight
        self.order, self.block = order, Arena()
        self.count = order.shape[0]
        engine.take_batch(&self.seqs, batch)
        self.seqs.order = indices("order", &order[0], order.shape, self.count)
        check_order(self.seqs.order, self.count, batch.seqs.count)
        engine.set_targets(&self.seqs, batch, target, classes, weight)
        engine.prepare(&self.plan, &self.seqs, self.count, False, False)
        set_out(self.block, &self.plan, &self.seqs)
        self.counted = count_targets(&self.plan.net, &self.seqs, 0, self.count)

    cdef double loss(self, const real* parameters) noexcept nogil:
        self.plan.parameters = parameters
        self.plan.result.loss = 0
        pack_weights(&self.plan)
        work(&self.plan, &self.seqs, 0, self.count, NULL)
        return self.plan.result.loss / self.counted


cdef class Trainer(Updates):
    """A fit of an engine's network to a batch, epoch by epoch.

    The trainer works on its own copy of the parameters and hands them to the network at
    the end of every epoch, so whatever stops it leaves the network between two epochs.
    """

    cdef Batch batch
    cdef const real[:, ::1] target, weight
    cdef const int64_t[::1] classes
    cdef int64_t[::1] order
    cdef int64_t* sequences        # what order holds
    cdef Py_ssize_t count          # of sequences to train on
    cdef Arena keys
    cdef Py_ssize_t batch_size
    cdef bint shuffled, uneven
    cdef Progress now
    cdef Plateau plateau
    cdef Held held
    cdef int64_t patience          # 0: without end
    cdef real* best                # parameters with the best validation loss
    cdef double since_signals      # multiply-adds

    def __cinit__(
        self, Engine engine not None, Batch batch not None, const real[:, ::1] target,
        const int64_t[::1] classes, const real[:, ::1] weight, int64_t[::1] order not None,
        Py_ssize_t batch_size, *,
        int rule, double momentum, double alpha, double beta1, double beta2, double eps,
        double clip_norm, double clip_value, const real[::1] decay, const real[::1] l1,
        const real[::1] free, const int64_t[::1] leader,
        double activation, Py_ssize_t truncate, bint shuffled, uint64_t seed, Held held,
        int64_t patience, tuple plateau,
    ):
        """order: the sequences to train on, as in the first epoch; it is sorted and shuffled in
        place.  decay, l1 (size): strengths for each parameter, or None.  free (size): 1 for
        each that may change, or None.  leader (size): the parameter whose value each has, or None,
        see `Optimiser`.  plateau: (factor, least, patience, after)."""
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        if batch.seqs.count >> 31:
            raise ValueError("a batch has at most 2**31 - 1 sequences")
        self.count = order.shape[0]
        self.sequences = <int64_t*>indices("order", &order[0], order.shape, self.count)
        check_order(self.sequences, self.count, batch.seqs.count)
        self.set_rule(
            engine, rule, momentum, alpha, beta1, beta2, eps, clip_norm, clip_value, decay, l1,
            free, leader, activation, truncate,
        )
        self.batch, self.target, self.classes = batch, target, classes
        self.uneven = differ_in_length(self.sequences, self.count, batch.seqs.length)
        self.weight = weight
        self.order, self.shuffled, self.held, self.patience = order, shuffled, held, patience
        self.batch_size = min(batch_size, self.count)
        self.plateau.factor, self.plateau.least, self.plateau.patience, self.plateau.after = plateau
        begin_progress(&self.now, seed)
        self.keys = Arena()
        self.keys.fit(self.batch_size * sizeof(int64_t))
        self.best = self.spare

    def run(
        self, double[:, ::1] records not None, threads=1, const double[::1] forcing=None,
    ):
        """As many epochs as there are records, (epochs, COLUMNS); of each the learning rate is
        read.  forcing (epochs), see `Feed`.

        Returns how many were finished: fewer where the loss or a parameter was no longer
        finite, where numbers of the batch were changed into impossible ones meanwhile, or where
        the patience is over; then the network is that of the last finished one.
        """
        cdef Plan plan
        cdef Sequences seqs
        cdef Py_ssize_t finished
        cdef ThreadPool pool = ThreadPool()
        expect("records", records.shape[1], COLUMNS)
        self.engine.take_batch(&seqs, self.batch)
        self.engine.set_targets(&seqs, self.batch, self.target, self.classes, self.weight)
        self.make_plan(&plan, &seqs, self.batch_size)
        seqs.order, self.feeds = self.sequences, forcing is not None
        if self.feeds:
            expect("forcing", forcing.shape[0], records.shape[0])
            self.feedback = Feedback()
            self.feedback.prepare(self.engine, &seqs, self.batch_size, 1)
        pool.plan, pool.seqs, pool.grad = &plan, &seqs, self.optimiser.gradient
        pool.count = self.batch_size
        self.pool = pool
        self.engine.begin_writing("fit")
        try:
            pool.divide()
            pool.call_helpers(threads, BATCH_WORTH_SHARING)
            with nogil:
                finished = self.epochs(&plan, &seqs, &self.engine.flat[0], records, forcing)
        finally:
            pool.dismiss()
            self.engine.end_writing()
        return finished

    @property
    def impatient(self):
        """Whether the validation loss has not become better for too long."""
        return self.patience > 0 and self.now.waited >= self.patience

    def use_best(self):
        """Make the network that with the best validation loss."""
        if self.now.best < float("inf"):
            self.engine.overwrite("fit", self.best)

    # ---- its state, between two runs

    def state(self):
        """All that the next epoch depends on, as arrays by name."""
        cdef cnp.ndarray progress = cnp.PyArray_ZEROS(1, [sizeof(Progress)], cnp.NPY_UINT8, 0)
        cdef cnp.ndarray order = cnp.PyArray_ZEROS(1, [self.count], cnp.NPY_INT64, 0)
        memcpy(cnp.PyArray_DATA(progress), &self.now, sizeof(Progress))
        memcpy(cnp.PyArray_DATA(order), self.sequences, cnp.PyArray_NBYTES(order))
        arrays = {"progress": progress, "order": order}
        for name in self.vector_names():
            vector = new_reals(1, self.engine.net.size, 0)
            memcpy(cnp.PyArray_DATA(vector), self.vector(name), cnp.PyArray_NBYTES(vector))
            arrays[name] = vector
        return arrays

    def restore(self, dict arrays not None):
        """Go on from what `state` returned; the network becomes the one it had then."""
        cdef const unsigned char[::1] progress = arrays["progress"]
        cdef const int64_t[::1] order = arrays["order"]
        cdef const real[::1] vector
        cdef const int64_t* sequences = indices("order", &order[0], order.shape, self.count)
        cdef Py_ssize_t size = self.engine.net.size
        flags("progress", &progress[0], progress.shape, sizeof(Progress))
        check_order(sequences, self.count, self.batch.seqs.count)
        for name in self.vector_names():
            vector = arrays[name]
            reals(name, &vector[0], vector.shape, size)
        memcpy(&self.now, &progress[0], sizeof(Progress))
        memcpy(self.sequences, sequences, self.count * sizeof(int64_t))
        for name in self.vector_names():
            vector = arrays[name]
            memcpy(self.vector(name), &vector[0], size * sizeof(real))
        self.engine.overwrite("fit", self.optimiser.parameters)

    cdef list vector_names(self):
        """The vectors of a trainer's state; of the optimiser's own "first", "second" .."""
        return ["parameters", "best", "first", "second"][:2 + self.optimiser.rule.states]

    cdef real* vector(self, str name):
        if name == "parameters":
            return self.optimiser.parameters
        if name == "best":
            return self.best
        return self.optimiser.state[name == "second"]

    # ---- the loop over epochs

    cdef Py_ssize_t epochs(
        self, Plan* plan, const Sequences* seqs, real* flat, double[:, ::1] records,
        const double[::1] forcing,
    ) except -1 nogil:
        cdef Optimiser* o = &self.optimiser
        cdef Py_ssize_t epoch, size = plan.net.size * sizeof(real)
        cdef double begun = seconds_now()
        memcpy(o.parameters, flat, size)
        o.of[0].updates = self.now.updates
        for epoch in range(records.shape[0]):
            if self.patience > 0 and self.now.waited >= self.patience:
                return epoch
            records[epoch, RATE] = o.of[0].lr = lowered(
                &self.plateau, &self.now, records[epoch, RATE]
            )
            set_coefficients(o)
            if self.feeds:
                self.feedback.feed.forcing = forcing[epoch]
            if self.shuffled:
                shuffle(self.sequences, self.count, &self.now.random)
            records[epoch, LOSS] = self.epoch(plan, seqs, &records[epoch, NORM])
            if plan.result.faults or not isfinite(records[epoch, LOSS]):
                return epoch
            if not all_finite(o.parameters, o.vectors):
                return epoch
            memcpy(flat, o.parameters, size)
            self.now.updates = o.of[0].updates
            self.now.epochs += 1
            if self.held is not None:
                records[epoch, VALIDATION] = self.held.loss(o.parameters)
                self.look(records[epoch, VALIDATION])
            look_for_plateau(
                &self.plateau, &self.now,
                records[epoch, LOSS if self.held is None else VALIDATION], records[epoch, RATE],
            )
            records[epoch, SECONDS] = seconds_now() - begun
            begun += records[epoch, SECONDS]
        return records.shape[0]

    cdef void look(self, double loss) noexcept nogil:
        """Remember the best network, and how long ago it was."""
        if is_best(&self.now, loss):
            memcpy(self.best, self.optimiser.parameters, self.engine.net.size * sizeof(real))

    cdef double epoch(
        self, Plan* plan, const Sequences* seqs, double* norm,
    ) except? -1 nogil:
        """One pass over all sequences; the mean of the counted losses, and the largest norm of a
        batch's gradient.  It ends with the first batch whose loss is not finite: such a batch has
        no gradient, and the norm is NaN where no batch came before."""
        cdef Py_ssize_t first = 0, size
        cdef double total = 0, counted = 0, count, loss
        norm[0] = NAN
        while first < self.count:
            size = min(self.batch_size, self.count - first)
            if self.uneven:
                sort_by_length(
                    self.sequences + first, size, seqs.length, <int64_t*>self.keys.base
                )
            count = count_targets(&plan.net, seqs, first, size)
            if count > 0:
                loss = self.minibatch(plan, seqs, first, size, count, &self.now.random)
                if not isfinite(loss):
                    return loss
                total += loss
                counted += count
                norm[0] = larger_norm(norm[0], self.optimiser.of[0].norm)
            first += size
            self.since_signals += cost(plan, size, seqs.time) + plan.net.size
            if self.since_signals > SIGNALS_EVERY:
                self.since_signals = 0
                check_signals()
        return total / counted
