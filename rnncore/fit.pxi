# The whole fit: epochs, shuffling, minibatches, loss, BPTT, clipping and update.

cdef enum:
    SIGNALS_EVERY = 100_000_000   # multiply-adds between two looks for Ctrl-C: some 10 ms


cdef int check_signals() except -1 with gil:
    return PyErr_CheckSignals()


cdef bint all_finite(const real* numbers, Py_ssize_t vectors) noexcept nogil:
    cdef Py_ssize_t i
    cdef vreal check = vset1(0)
    for i in range(vectors):
        check = vfma(vload(numbers + i * LANES), vset1(0), check)
    return vsum(check) == 0


cdef int by_key(const void* a, const void* b) noexcept nogil:
    cdef int64_t one = (<const int64_t*>a)[0], other = (<const int64_t*>b)[0]
    return (one > other) - (one < other)


cdef void sort_by_length(
    int64_t* order, Py_ssize_t count, const int64_t* length, int64_t* keys,
) noexcept nogil:
    """Sequences of like length next to each other: a block takes as long as its longest."""
    cdef Py_ssize_t i
    for i in range(count):
        keys[i] = (length[order[i]] << 32) | order[i]
    qsort(keys, count, sizeof(int64_t), by_key)
    for i in range(count):
        order[i] = keys[i] & ((<int64_t>1 << 32) - 1)


cdef class Trainer:
    """A fit of an engine's network to a batch, epoch by epoch.

    The trainer works on its own copy of the parameters and hands them to the network at
    the end of every epoch, so whatever stops it leaves the network between two epochs.
    """

    cdef Engine engine
    cdef Batch batch
    cdef cnp.ndarray target, classes
    cdef int64_t[::1] order
    cdef Arena keys
    cdef Arena block, vectors
    cdef Py_ssize_t batch_size
    cdef bint shuffled
    cdef uint64_t random
    cdef Optimiser optimiser
    cdef double since_signals      # multiply-adds
    cdef Crew crew

    def __cinit__(
        self, Engine engine not None, Batch batch not None, cnp.ndarray target,
        cnp.ndarray classes, int64_t[::1] order not None, Py_ssize_t batch_size, *,
        Rule rule, double lr, double momentum, double beta1, double beta2, double eps,
        double clip_norm, double clip_value, bint shuffled, uint64_t seed,
    ):
        """order (B): the sequences in the order of the first epoch; it is shuffled in place."""
        cdef Optimiser* o = &self.optimiser
        cdef Py_ssize_t i, padded
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        expect("order", order.shape[0], batch.seqs.count)
        for i in range(order.shape[0]):
            if not 0 <= order[i] < batch.seqs.count:
                raise ValueError(f"order: no sequence {order[i]}")
        self.engine, self.batch, self.target, self.classes = engine, batch, target, classes
        self.order, self.shuffled, self.random = order, shuffled, seed
        self.batch_size = min(batch_size, batch.seqs.count)
        o.rule, o.lr, o.momentum, o.beta1, o.beta2, o.eps = rule, lr, momentum, beta1, beta2, eps
        o.clip_norm, o.clip_value, o.updates = clip_norm, clip_value, 0
        padded = (engine.net.size + MAX_LANES - 1) // MAX_LANES * MAX_LANES
        o.vectors = padded // LANES
        self.block, self.vectors, self.keys = Arena(), Arena(), Arena()
        if batch.seqs.count >> 31:
            raise ValueError("a batch has at most 2**31 - 1 sequences")
        self.keys.fit(self.batch_size * sizeof(int64_t))
        self.vectors.fit(4 * padded * sizeof(real))
        memset(self.vectors.base, 0, 4 * padded * sizeof(real))
        o.parameters = <real*>self.vectors.base
        o.gradient = o.parameters + padded
        o.first = o.gradient + padded
        o.second = o.first + padded

    def run(self, double[::1] losses not None, threads=1):
        """As many epochs as `losses` has room for, the mean loss of each into it.

        Returns how many were finished: fewer where the loss or a parameter was no longer
        finite, or where numbers of the batch were changed into impossible ones meanwhile;
        then the network is that of the last finished one.
        """
        cdef Plan plan
        cdef Sequences seqs = self.batch.seqs
        cdef Py_ssize_t finished
        cdef Crew crew = Crew()
        self.engine.set_targets(&seqs, self.batch, self.target, self.classes)
        self.engine.prepare(&plan, self.batch, self.batch_size, True, False)
        set_out(self.block, &plan)
        plan.parameters = self.optimiser.parameters
        seqs.order = &self.order[0]
        crew.plan, crew.seqs, crew.grad = &plan, &seqs, self.optimiser.gradient
        crew.count = self.batch_size
        self.crew = crew
        self.engine.begin_writing()
        try:
            crew.divide()
            crew.call_helpers(threads, BATCH_WORTH_SHARING)
            with nogil:
                finished = self.epochs(&plan, &seqs, &self.engine.flat[0], losses)
        finally:
            crew.dismiss()
            self.engine.end_writing()
        return finished

    cdef Py_ssize_t epochs(
        self, Plan* plan, const Sequences* seqs, real* flat, double[::1] losses,
    ) except -1 nogil:
        cdef Optimiser* o = &self.optimiser
        cdef Py_ssize_t epoch, size = plan.net.size * sizeof(real)
        memcpy(o.parameters, flat, size)
        for epoch in range(losses.shape[0]):
            if self.shuffled:
                shuffle(&self.order[0], seqs.count, &self.random)
            losses[epoch] = self.epoch(plan, seqs)
            if plan.faults or not isfinite(losses[epoch]):
                return epoch
            if not all_finite(o.parameters, o.vectors):
                return epoch
            memcpy(flat, o.parameters, size)
        return losses.shape[0]

    cdef double epoch(self, Plan* plan, const Sequences* seqs) except? -1 nogil:
        """One pass over all sequences; the mean of the counted losses."""
        cdef Py_ssize_t first = 0, size
        cdef double total = 0, counted = 0, count
        cdef unsigned long long mode
        while first < seqs.count:
            size = min(self.batch_size, seqs.count - first)
            if seqs.length != NULL:
                sort_by_length(
                    &self.order[first], size, seqs.length, <int64_t*>self.keys.base
                )
            count = count_targets(&plan.net, seqs, first, size)
            if count > 0:
                plan.scale = 1 / count
                plan.dropout = plan.net.dropout
                if plan.dropout > 0:
                    plan.dropout_seed = next_random(&self.random)
                memset(self.optimiser.gradient, 0, self.optimiser.vectors * LANES * sizeof(real))
                pack_weights(plan)
                self.crew.first, self.crew.count = first, size
                self.crew.work_together()
                total += plan.loss
                counted += count
                mode = flush_subnormals()
                update(&self.optimiser)
                restore_subnormals(mode)
            first += size
            self.since_signals += cost(plan, size, seqs.time) + plan.net.size
            if self.since_signals > SIGNALS_EVERY:
                self.since_signals = 0
                check_signals()
        return total / counted
