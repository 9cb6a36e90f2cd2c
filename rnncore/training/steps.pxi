# Training minibatch by minibatch, as the caller has them.


cdef class SteppedUpdates(Updates):
    """An optimiser whose updates are made when the caller says so, and may be taken back."""

    @property
    def rate(self):
        """The learning rate."""
        return self.optimiser.of[0].lr

    @rate.setter
    def rate(self, double rate):
        self.optimiser.of[0].lr = rate
        set_coefficients(&self.optimiser)

    @property
    def updates(self):
        """How many were made."""
        return self.optimiser.of[0].updates

    cdef void remember(self) noexcept nogil:
        """The parameters as they are, and what the rule remembers, before an update."""
        cdef Optimiser* o = &self.optimiser
        cdef Py_ssize_t size = self.engine.net.size * sizeof(real), i
        memcpy(o.parameters, &self.engine.flat[0], size)
        for i in range(o.rule.states):
            memcpy(self.spare + i * self.padded, o.state[i], size)

    cdef void take_back(self, long long updates) noexcept nogil:
        """What the rule remembers as it was after so many updates, when `remember` was called."""
        cdef Optimiser* o = &self.optimiser
        cdef Py_ssize_t i
        o.of[0].updates = updates
        for i in range(o.rule.states):
            memcpy(
                o.state[i], self.spare + i * self.padded, self.engine.net.size * sizeof(real)
            )

    def state(self):
        """(updates, vectors of the optimiser)"""
        cdef list vectors = []
        cdef Py_ssize_t i
        for i in range(self.optimiser.rule.states):
            vector = new_reals(1, self.engine.net.size, 0)
            memcpy(cnp.PyArray_DATA(vector), self.optimiser.state[i], cnp.PyArray_NBYTES(vector))
            vectors.append(vector)
        return self.optimiser.of[0].updates, vectors

    def restore(self, int64_t updates, list vectors not None):
        """Go on from what `state` returned."""
        cdef const real[::1] vector
        cdef Py_ssize_t i, size = self.engine.net.size
        expect("vectors", len(vectors), self.optimiser.rule.states)
        for given in vectors:
            vector = given
            reals("vectors", &vector[0], vector.shape, size)
        for i in range(self.optimiser.rule.states):
            vector = vectors[i]
            memcpy(self.optimiser.state[i], &vector[0], size * sizeof(real))
        self.optimiser.of[0].updates = updates


cdef class StepTrainer(SteppedUpdates):
    """An optimiser that a caller hands one minibatch after another.

    A step makes the update that `Trainer` makes of that minibatch.  What is not possible leaves
    the network, the optimiser and the random numbers as they were.
    """

    cdef Py_ssize_t batch_size     # sequences that blocks are laid out for at least
    cdef public uint64_t random    # numbers to come, which dropout goes by
    cdef public double forcing     # the probability of a given input, see `Feed`

    def __cinit__(
        self, Engine engine not None, Py_ssize_t batch_size, *,
        int rule, double momentum, double alpha, double beta1, double beta2, double eps,
        double clip_norm, double clip_value, const real[::1] decay, const real[::1] l1,
        const real[::1] free, const int64_t[::1] leader, double activation, Py_ssize_t truncate,
        uint64_t seed, double rate,
    ):
        """rate: the learning rate; the rest as for `Trainer`."""
        self.set_rule(
            engine, rule, momentum, alpha, beta1, beta2, eps, clip_norm, clip_value, decay, l1,
            free, leader, activation, truncate,
        )
        self.batch_size, self.random, self.forcing = batch_size, seed, 1
        self.rate = rate

    def plain_step(self, x, y, lengths, threads):
        """The mean loss before the update by plain arrays; None, with nothing done, for anything
        else."""
        cdef Sequences seqs
        cdef object kept, targets
        kept = take_plain(self.engine, &seqs, x, None, lengths)
        if kept is None:
            return None
        targets = take_targets(self.engine, &seqs, y)
        if targets is None:
            return None
        loss, faults = self.make_step(&seqs, threads)
        return None if faults or not isfinite(loss) else loss

    def step(
        self, Batch batch not None, const real[:, ::1] target, const int64_t[::1] classes,
        const real[:, ::1] weight, threads=1,
    ):
        """(mean loss before the update, faults).  Where the loss is not finite or there are faults
        nothing has changed; so it is where a parameter would not be finite, with infinity as the
        loss."""
        cdef Sequences seqs
        self.engine.take_batch(&seqs, batch)
        self.engine.set_targets(&seqs, batch, target, classes, weight)
        return self.make_step(&seqs, threads)

    cdef tuple make_step(self, Sequences* seqs, object threads):
        """What `step` returns, of any sequences."""
        cdef Plan plan
        cdef double loss = NAN, count = count_targets(&self.engine.net, seqs, 0, seqs.count)
        cdef Py_ssize_t planned = max(self.batch_size, seqs.count)
        if count == 0:
            return loss, 0
        self.engine.begin_writing("step")
        try:
            self.make_plan(&plan, seqs, planned)
            self.feeds = self.forcing < 1
            if self.feeds:
                self.feedback = Feedback()
                self.feedback.prepare(self.engine, seqs, planned, self.forcing)
            # Helpers that come late look at the pool that they were asked to help.
            if self.pool is None or groups_of(&plan, planned, seqs.time) > 1:
                self.pool = ThreadPool()
            self.pool.plan, self.pool.seqs = &plan, seqs
            self.pool.grad, self.pool.count = self.optimiser.gradient, planned
            self.pool.divide()
            if self.pool.most_groups > 1:
                self.pool.call_helpers(threads, CALL_WORTH_SHARING)
            with nogil:
                loss = self.update_once(&plan, seqs, count)
                if self.pool.most_groups > 1:
                    self.pool.dismiss()
        finally:
            self.engine.end_writing()
        return loss, plan.result.faults

    cdef double update_once(
        self, Plan* plan, const Sequences* seqs, double count,
    ) noexcept nogil:
        """The mean loss before the update, which is taken back where it cannot be made."""
        cdef Optimiser* o = &self.optimiser
        cdef uint64_t random = self.random
        cdef long long updates = o.of[0].updates
        cdef double loss
        self.remember()
        loss = self.minibatch(plan, seqs, 0, seqs.count, count, &random) / count
        if isfinite(loss) and not plan.result.faults:
            if all_finite(o.parameters, o.vectors):
                memcpy(&self.engine.flat[0], o.parameters, plan.net.size * sizeof(real))
                self.random = random
                return loss
            loss = INFINITY
        self.take_back(updates)
        return loss
