# One update by a minibatch: what a fit does again and again, and a step trainer once a call.


cdef bint all_finite(const real* numbers, Py_ssize_t vectors) noexcept nogil:
    cdef Py_ssize_t i
    cdef vreal check = vset1(0)
    for i in range(vectors):
        check = vfma(vload(numbers + i * LANES), vset1(0), check)
    return vsum(check) == 0


cdef int tie_parameters(Optimiser* o, const int64_t[::1] leader, Py_ssize_t size) except -1:
    """Let parameters have the values of others."""
    cdef Py_ssize_t i
    if leader is None:
        return 0
    o.leader = indices("leader", &leader[0], leader.shape, size)
    o.tied = size
    for i in range(size):
        if not (0 <= leader[i] <= i and leader[leader[i]] == leader[i]):
            raise ValueError(f"leader: expected one before parameter {i}, got {leader[i]}")
    return 0


cdef class Updates:
    """An optimiser of an engine's network, on its own copy of the parameters."""

    cdef Engine engine
    cdef Optimiser optimiser
    cdef Arena block, vectors
    cdef Py_ssize_t padded         # reals from one vector of the optimiser to the next
    cdef real* spare               # vectors of the same size for a derived class
    cdef Py_ssize_t truncate
    cdef double activation
    cdef const int64_t[::1] leader  # what the optimiser's points into
    cdef ThreadPool pool
    cdef bint feeds                # whether inputs are made, by this
    cdef Feedback feedback

    cdef int set_rule(
        self, Engine engine, int rule, double momentum, double alpha, double beta1, double beta2,
        double eps, double clip_norm, double clip_value, const real[::1] decay,
        const real[::1] l1, const real[::1] free, const int64_t[::1] leader, double activation,
        Py_ssize_t truncate,
    ) except -1:
        """decay, l1 (size): strengths for each parameter, or None.  free (size): 1 for each that
        may change, or None.  leader (size): the parameter whose value each has, or None."""
        cdef Optimiser* o = &self.optimiser
        cdef Py_ssize_t i, size = engine.net.size
        if truncate < 0:
            raise ValueError(f"truncate: expected at least 0, got {truncate}")
        self.engine, self.truncate, self.activation = engine, truncate, activation
        if not describe_rule(&o.rule, rule):
            raise ValueError(f"rule: there is no number {rule}")
        o.of[0].momentum, o.of[0].alpha = momentum, alpha
        o.of[0].beta1, o.of[0].beta2, o.of[0].eps = beta1, beta2, eps
        o.of[0].clip_norm, o.of[0].clip_value = clip_norm, clip_value
        self.padded = (size + MAX_LANES - 1) // MAX_LANES * MAX_LANES
        o.vectors, o.stride = self.padded // LANES, LANES
        self.block, self.vectors = Arena(), Arena()
        self.vectors.fit((5 + 2 * MOST_STATES) * self.padded * sizeof(real))
        memset(self.vectors.base, 0, (5 + 2 * MOST_STATES) * self.padded * sizeof(real))
        o.parameters = <real*>self.vectors.base
        o.gradient = o.parameters + self.padded
        for i in range(o.rule.states):
            o.state[i] = o.gradient + (1 + i) * self.padded
        self.spare = o.gradient + (1 + MOST_STATES) * self.padded
        if decay is not None:
            o.decay = self.spare + MOST_STATES * self.padded
            memcpy(o.decay, reals("decay", &decay[0], decay.shape, size), size * sizeof(real))
        if l1 is not None:
            o.l1 = self.spare + (1 + MOST_STATES) * self.padded
            memcpy(o.l1, reals("l1", &l1[0], l1.shape, size), size * sizeof(real))
        if free is not None:
            o.free = self.spare + (2 + MOST_STATES) * self.padded
            memcpy(o.free, reals("free", &free[0], free.shape, size), size * sizeof(real))
        self.leader = leader
        return tie_parameters(o, leader, size)

    cdef int make_plan(self, Plan* plan, const Sequences* seqs, Py_ssize_t count) except -1:
        """A plan with memory, for minibatches of up to `count` of the sequences."""
        self.engine.prepare(
            plan, seqs, count, True, False, self.truncate, True, self.activation
        )
        set_out(self.block, plan, seqs)
        plan.parameters = self.optimiser.parameters
        return 0

    cdef double minibatch(
        self, Plan* plan, const Sequences* seqs, Py_ssize_t first, Py_ssize_t size, double count,
        uint64_t* random,
    ) noexcept nogil:
        """One update by sequences first .. first + size, of which `count` targets count; the sum
        of their losses.  Where that is not finite there is no gradient, and no update."""
        cdef unsigned long long mode
        set_lanes(plan.job.scale, 1 / count)
        if plan.job.drawing:
            set_seeds(&plan.job, next_random(random))
        if self.activation > 0:
            set_lanes(plan.job.activation, 2 * self.activation / (
                count_steps(seqs, first, size) * plan.passes * plan.net.hidden
            ))
        memset(self.optimiser.gradient, 0, self.optimiser.vectors * LANES * sizeof(real))
        pack_weights(plan)
        self.pool.seqs = seqs
        if self.feeds:
            self.pool.seqs = self.feedback.make(plan, seqs, first, size, next_random(random))
        self.pool.first, self.pool.count = first, size
        self.pool.work_together()
        if isfinite(plan.result.loss):
            mode = flush_subnormals()
            update(&self.optimiser)
            restore_subnormals(mode)
        return plan.result.loss
