# Minibatches in which a network's own outputs take the place of a part of the inputs.


cdef Py_ssize_t rows_of(const Sequences* seqs) noexcept nogil:
    """Rows of the arrays that have a row for every step."""
    cdef Py_ssize_t s, n, rows = 0
    for s in range(seqs.count):
        n = seqs.length[s] if seqs.length != NULL else seqs.time
        rows = max(rows, (seqs.start[s] if seqs.start != NULL else s * seqs.time) + n)
    return rows


cdef class Feedback:
    """Makes the inputs of minibatches, by a forward pass step by step.

    The first input of a sequence is the given one. What is fed back is a number like any other in
    the data: no gradient goes through it.
    """

    cdef Plan plan
    cdef Sequences seqs           # with the inputs that are made
    cdef Feed feed
    cdef Arena block, inputs

    cdef int prepare(
        self, Engine engine, const Sequences* seqs, Py_ssize_t count, double forcing,
    ) except -1:
        """For minibatches of up to `count` of the sequences."""
        cdef Py_ssize_t rows = rows_of(seqs), D = engine.net.inputs
        cdef size_t used = 0
        if D != engine.net.outputs or engine.net.directions == 2 or not engine.net.every_step:
            raise ValueError("forcing: expected outputs that can be the next inputs")
        self.block, self.inputs = Arena(), Arena()
        self.inputs.fit(rows * max(D * sizeof(real), sizeof(int64_t)) + 128 + D * sizeof(real))
        self.feed.given_x, self.feed.given_tokens = seqs.x, seqs.tokens
        self.feed.outputs = carve_reals(self.inputs.base, &used, D)
        self.seqs = seqs[0]
        if seqs.tokens != NULL:
            self.feed.tokens = <int64_t*>carve(self.inputs.base, &used, rows, sizeof(int64_t))
            memcpy(self.feed.tokens, seqs.tokens, rows * sizeof(int64_t))
            self.seqs.tokens = self.feed.tokens
        else:
            self.feed.x = carve_reals(self.inputs.base, &used, rows * D)
            memcpy(self.feed.x, seqs.x, rows * D * sizeof(real))
            self.seqs.x = self.feed.x
        # One step to a segment, as where each step's part of a gradient is kept apart
        engine.prepare(&self.plan, seqs, count, False, False, 0, True, 0, 1)
        self.plan.term = 0
        self.plan.net.loss.evaluate = NULL
        set_out(self.block, &self.plan, &self.seqs)
        self.feed.forcing, self.plan.feed = forcing, &self.feed
        return 0

    cdef const Sequences* make(
        self, const Plan* plan, const Sequences* seqs, Py_ssize_t first, Py_ssize_t size,
        uint64_t seed,
    ) noexcept nogil:
        """The sequences, of which first .. first + size have inputs that were made with the
        parameters, and what is drawn, of a plan."""
        self.seqs.order, self.feed.seed = seqs.order, seed
        self.plan.parameters, self.plan.job = plan.parameters, plan.job
        pack_weights(&self.plan)
        work(&self.plan, &self.seqs, first, size, NULL)
        return &self.seqs
