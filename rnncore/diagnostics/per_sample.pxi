# The gradient of every sequence's own loss.
#
# With models in the lanes a gradient is summed lane by lane.  Here all these models are the same
# network, each with one sequence: a block then leaves the gradient of every lane's sequence in that
# lane.  Beyond MOST_UNITS units, and where sequences are so few that they are worked on one by one
# anyway, it is sequence after sequence.

cdef enum:
    MOST_UNITS = 16           # up to which a vector for each weight is worth reading


cdef class PerSample:
    """Sequences to take gradients of one by one, and the memory for it."""

    cdef Engine engine
    cdef Sequences seqs
    cdef Plan plan
    cdef Arena block, matrices
    cdef Py_ssize_t width     # sequences at a time
    cdef Py_ssize_t size      # parameters
    cdef real* parameters     # (size, width), the same in all lanes; not where width is 1
    cdef real* gradient       # (size, width)
    cdef bint mean

    cdef int prepare(self, Py_ssize_t truncate, bint drawing) except -1:
        """Choose how many at a time, from their number alone, and set out the memory."""
        cdef Network* net = &self.engine.net
        cdef int most = 1, groups = 1
        cdef size_t used = 0
        self.width, self.size = 1, net.size
        self.engine.prepare(
            &self.plan, &self.seqs, self.seqs.count, True, False, truncate, drawing
        )
        if self.plan.units_in_lanes or net.hidden > MOST_UNITS:
            self.engine.prepare(&self.plan, &self.seqs, 1, True, False, truncate, drawing)
        else:
            if can_be_grouped(net):
                most, groups = most_groups(net.hidden), groups_for(net.hidden, self.seqs.count)
            self.engine.prepare(
                &self.plan, &self.seqs, 1, True, False, truncate, drawing, 0, 0, groups, groups,
                most,
            )
            self.width = groups * LANES
            used = <size_t>(self.size * self.width) * sizeof(real)
        set_out(self.block, &self.plan, &self.seqs)
        self.matrices.fit(2 * used)
        self.parameters = <real*>self.matrices.base
        self.gradient = <real*>(self.matrices.base + used)
        return 0

    cdef void pack_lanes(self) noexcept nogil:
        """The weights, as the plan wants them."""
        cdef Py_ssize_t i, lane
        cdef const real* flat = &self.engine.flat[0]
        self.plan.parameters = flat
        if self.width > 1:
            for i in range(self.size):
                for lane in range(self.width // LANES):
                    vstore(self.parameters + i * self.width + lane * LANES, vset1(flat[i]))
            self.plan.parameters = self.parameters
        pack_weights(&self.plan)

    cdef void take_all(self, real* grads, double* losses) noexcept nogil:
        """All sequences, a few at a time, in the order of the batch."""
        cdef Py_ssize_t done = 0, n
        cdef int64_t chosen[MAX_LANES]
        while done < self.seqs.count:
            n = min(self.width, self.seqs.count - done)
            self.choose_some(done, n, chosen)
            if self.width > 1:
                memset(self.gradient, 0, self.size * self.width * sizeof(real))
                self.take_some(n, self.gradient, losses, chosen)
                self.deliver_some(n, chosen, grads)
            else:
                self.take_some(n, grads + chosen[0] * self.size, losses, chosen)
            done += n

    cdef void choose_some(self, Py_ssize_t first, Py_ssize_t n, int64_t* chosen) noexcept nogil:
        """The n sequences from the first one on, one for each of as many lanes."""
        cdef Job* job = &self.plan.job
        cdef Sequences one = self.seqs
        cdef Py_ssize_t lane
        cdef double count
        one.order = chosen
        for lane in range(MAX_LANES):
            job.counts[lane], job.scale[lane] = 0, 0
        for lane in range(n):
            chosen[lane] = first + lane
            if self.seqs.order != NULL:
                chosen[lane] = self.seqs.order[first + lane]
            job.sequences[lane], job.counts[lane] = chosen + lane, 1
            count = 1
            if self.mean:
                count = count_targets(&self.plan.net, &one, lane, 1)
            job.scale[lane] = <real>(1 / count) if count else 0
        if self.width == 1:
            set_lanes(job.scale, job.scale[0])

    cdef void take_some(
        self, Py_ssize_t n, real* gradient, double* losses, const int64_t* chosen,
    ) noexcept nogil:
        """Their gradients, added to it, and their losses."""
        cdef Result* result = &self.plan.result
        cdef Sequences some = self.seqs
        cdef Py_ssize_t lane
        cdef double count
        some.order = chosen
        result.loss = 0
        for lane in range(MAX_LANES):
            result.losses[lane] = 0
        work(&self.plan, &some, 0, 1, gradient)
        if self.width == 1:
            result.losses[0] = result.loss
        for lane in range(n):
            count = count_targets(&self.plan.net, &some, lane, 1) if self.mean else 1
            losses[chosen[lane]] = result.losses[lane] / count if count else 0

    cdef void deliver_some(
        self, Py_ssize_t n, const int64_t* chosen, real* grads,
    ) noexcept nogil:
        """Each lane's gradient to the row of its sequence."""
        cdef Py_ssize_t lane
        for lane in range(n):
            copy_strided(
                grads + chosen[lane] * self.size, 1, self.gradient + lane, self.width, self.size
            )


def per_sample(
    Engine engine not None, Batch batch not None, const real[:, ::1] target,
    const int64_t[::1] classes, const real[:, ::1] weight, real[:, ::1] grads not None,
    double[::1] losses not None, *, bint mean, dropout_seed=None, Py_ssize_t truncate=0,
):
    """The gradient of every sequence's own loss, its sum over targets or their mean, added to grads
    (B, size), and these losses (B): of a sequence in which no target counts both 0.  Returns
    (faults, what the sum of all losses is divided by for the mean)."""
    cdef PerSample call = PerSample()
    cdef Sequences* seqs = &call.seqs
    cdef real* rows
    cdef double* sums = &losses[0]
    call.block, call.matrices = Arena(), Arena()
    call.engine, call.mean = engine, mean
    engine.take_batch(seqs, batch)
    engine.set_targets(seqs, batch, target, classes, weight)
    rows = reals("grads", &grads[0, 0], grads.shape, seqs.count, engine.net.size)
    expect_shape("losses", sums, sizeof(double), losses.shape, [seqs.count, -1])
    call.prepare(truncate, dropout_seed is not None)
    engine.set_dropout(&call.plan, dropout_seed)
    engine.begin_reading()
    with nogil:
        call.pack_lanes()
        call.take_all(rows, sums)
        engine.end_reading()
    return call.plan.result.faults, count_targets(&engine.net, seqs, 0, seqs.count)
