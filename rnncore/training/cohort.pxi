# A cohort: the members of a population that one thread trains at the same time, epoch by epoch.
#
# With models in the lanes there are as many as a vector has lanes: parameters, gradient and what
# the optimiser remembers are matrices with a row for each parameter and a member in each lane.
# Where members have one sequence at a time there are several such groups, a vector of every row for
# each: a single vector would wait for itself at every step.
# Otherwise it is one member, whose sequences are in the lanes.  A member that is finished leaves
# its place to the next one that waits, so a fit takes as long as its members train.  The epochs of
# a cohort begin and end together; a member with fewer minibatches than another waits for it.

cdef class Cohort:
    cdef Population all
    cdef Arena block, held_block, memory
    cdef Plan plan, held_plan
    cdef Sequences seqs, held_seqs
    cdef Optimiser optimisers[MODEL_GROUPS]  # of each group
    cdef int groups
    cdef Py_ssize_t width          # members
    cdef int64_t kind              # of its members, see `Population.kind_of`
    cdef Py_ssize_t member[MAX_LANES]  # -1: none
    cdef Optimiser old[MODEL_GROUPS]
    # Matrices with a row for each parameter, and room for members in each.
    cdef real* parameters
    cdef real* gradient
    cdef real* states[MOST_STATES]
    cdef real* decay
    cdef real* l1
    cdef real* free
    cdef real* kept                # a copy of parameters and states
    cdef size_t reals              # of these
    cdef int64_t* keys
    cdef LastOrder drawn
    cdef int64_t* sequences[MAX_LANES]  # room for each member's of a minibatch
    cdef double total[MAX_LANES]   # loss of the epoch so far
    cdef double counted[MAX_LANES]  # targets
    cdef double norm[MAX_LANES]
    cdef bint failed[MAX_LANES]

    def __cinit__(self, Population population not None):
        cdef Py_ssize_t i, most = 1, longest = 1, W = population.width, widest
        self.all, self.width, self.kind, self.groups = population, W, -1, 1
        self.block, self.held_block, self.memory = Arena(), Arena(), Arena()
        widest = W * (most_groups(population.engine.net.hidden) if W > 1 else 1)
        for i in range(MAX_LANES):
            self.member[i] = -1
        for i in range(population.count):
            most = max(most, population.members[i].batch_size)
            longest = max(longest, population.members[i].count)
        self.memory.fit(self.carve_out(widest, most, longest))
        memset(self.memory.base, 0, self.carve_out(widest, most, longest))

    cdef size_t carve_out(self, Py_ssize_t width, Py_ssize_t most, Py_ssize_t longest) noexcept:
        """Room for so many members, whose minibatches have at most so many sequences, and who have
        at most `longest`; how many bytes that is."""
        cdef Py_ssize_t i, rows = (self.all.size * width + MAX_LANES - 1) // MAX_LANES * MAX_LANES
        cdef size_t used = 0
        cdef char* base = self.memory.base
        self.reals = (1 + self.all.rule.states) * rows
        self.parameters = carve_reals(base, &used, self.reals)
        self.kept = carve_reals(base, &used, self.reals)
        for i in range(self.all.rule.states if base != NULL else 0):
            self.states[i] = self.parameters + (i + 1) * rows
        self.gradient = carve_reals(base, &used, rows)
        self.decay = carve_reals(base, &used, rows if self.all.decay is not None else 0)
        self.l1 = carve_reals(base, &used, rows if self.all.l1 is not None else 0)
        self.free = carve_reals(base, &used, rows if self.all.free is not None else 0)
        self.keys = <int64_t*>carve(base, &used, most, sizeof(int64_t))
        self.drawn.first = <int64_t*>carve(base, &used, longest, sizeof(int64_t))
        for i in range(width):
            self.sequences[i] = <int64_t*>carve(base, &used, most, sizeof(int64_t))
        return used

    cdef int aim(self) except -1:
        """Point each group's optimiser to its vectors."""
        cdef Optimiser* o
        cdef int g
        cdef Py_ssize_t i
        for g in range(self.groups):
            o = &self.optimisers[g]
            o.rule, o.each = self.all.rule, self.width > 1
            o.stride = self.groups * LANES
            o.vectors = self.all.size if o.each else (self.all.size + LANES - 1) // LANES
            o.parameters, o.gradient = self.parameters + g * LANES, self.gradient + g * LANES
            for i in range(o.rule.states):
                o.state[i] = self.states[i] + g * LANES
            o.decay = self.decay + g * LANES if self.all.decay is not None else NULL
            o.l1 = self.l1 + g * LANES if self.all.l1 is not None else NULL
            o.free = self.free + g * LANES if self.all.free is not None else NULL
            tie_parameters(o, self.all.leader, self.all.size)
        if self.all.free is not None:
            for i in range(self.width):
                self.to_lane(self.free, i, &self.all.free[0])
        return 0

    cdef inline Coefficients* of(self, Py_ssize_t lane) noexcept nogil:
        """The coefficients of the member in a lane."""
        return &self.optimisers[lane // LANES].of[lane % LANES]

    # ---- who is in it
    cdef int prepare(self, const Member* like, Py_ssize_t count) except -1:
        """Plans for so many members of this kind, when there are none yet."""
        cdef Engine engine = self.all.engine
        cdef const Network* net = &engine.net
        cdef int train = 0, held = 0, most = 0
        self.groups = 1
        if self.all.width > 1:
            train, held = vectors_for(net, like.batch_size), vectors_for(net, like.held_count)
            if self.all.kind_of(like) == 0:
                most = most_groups(net.hidden)
                self.groups = groups_for(net.hidden, count)
                train = held = self.groups
            self.width = self.groups * LANES
        self.aim()
        self.seqs = self.all.data.seqs
        engine.prepare(
            &self.plan, &self.seqs, like.batch_size, True, False, self.all.truncate, True,
            self.all.penalised, 0, train, self.groups, most,
        )
        set_out(self.block, &self.plan, &self.seqs)
        self.plan.parameters = self.parameters
        if self.all.validated:
            self.held_seqs = self.all.held_data.seqs
            engine.prepare(
                &self.held_plan, &self.held_seqs, like.held_count, False, False, 0, False, 0, 0,
                held, self.groups,
            )
            set_out(self.held_block, &self.held_plan, &self.held_seqs)
            self.held_plan.parameters = self.parameters
        self.kind = self.all.kind_of(like)
        return 0

    cdef Py_ssize_t fill(self) except -1 nogil:
        """Give places that are free to members that wait; how many members there are then."""
        cdef Py_ssize_t lane, there = 0
        cdef int64_t first
        cdef const Member* next
        for lane in range(self.width):
            there += self.member[lane] >= 0
        lane = 0
        while lane < self.width:       # which changes with the kind of an empty cohort
            while self.member[lane] < 0:
                first = shared_read(&self.all.taken)
                if first >= self.all.waiting.shape[0]:
                    if self.groups > 1 and 0 < there <= self.width // 2:
                        with gil:
                            self.close_ranks(there)
                    return there
                next = &self.all.members[self.all.waiting[first]]
                if there and self.all.kind_of(next) != self.kind:
                    return there
                if not shared_swap(&self.all.taken, first, first + 1) or self.all.is_finished(next):
                    continue
                if self.all.kind_of(next) != self.kind:
                    with gil:
                        self.prepare(next, self.all.waiting.shape[0] - first)
                self.enter(lane, self.all.waiting[first])
                there += 1
            lane += 1
        return there

    cdef int close_ranks(self, Py_ssize_t there) except -1:
        """Put the members that are left into fewer groups."""
        cdef Py_ssize_t left[MAX_LANES]
        cdef Py_ssize_t lane, n = 0
        for lane in range(self.width):
            if self.member[lane] >= 0:
                left[n] = self.member[lane]
                n += 1
                self.leave(lane)
        self.prepare(&self.all.members[left[0]], there)
        for lane in range(there):
            self.enter(lane, left[lane])
        return 0

    cdef void enter(self, Py_ssize_t lane, Py_ssize_t m) noexcept nogil:
        cdef Py_ssize_t size = self.all.size, i
        self.member[lane] = m
        self.of(lane)[0] = self.all.members[m].of
        self.of(lane).updates = self.all.members[m].now.updates
        self.to_lane(self.parameters, lane, &self.all.flat[m, 0])
        for i in range(self.all.rule.states):
            self.to_lane(self.states[i], lane, self.all.states[i] + m * size)
        if self.optimisers[0].decay != NULL:
            self.to_lane(self.decay, lane, &self.all.decay[m, 0])
        if self.optimisers[0].l1 != NULL:
            self.to_lane(self.l1, lane, &self.all.l1[m, 0])

    cdef void leave(self, Py_ssize_t lane) noexcept nogil:
        """What a member's next epochs would need, but for what is kept after every epoch."""
        cdef Py_ssize_t i, m = self.member[lane]
        for i in range(self.all.rule.states):
            self.from_lane(self.all.states[i] + m * self.all.size, self.states[i], lane)
        self.member[lane] = -1

    cdef void to_lane(self, real* rows, Py_ssize_t lane, const real* numbers) noexcept nogil:
        copy_strided(rows + lane, self.width, numbers, 1, self.all.size)

    cdef void from_lane(self, real* numbers, const real* rows, Py_ssize_t lane) noexcept nogil:
        copy_strided(numbers, 1, rows + lane, self.width, self.all.size)

    # ---- the loop over epochs
    cdef int run(self, double until) except -1 nogil:
        cdef Py_ssize_t lane
        while self.fill():
            self.take_epoch()
            if seconds_now() > until or shared_read(&self.all.stopped):
                break
        for lane in range(self.width):
            if self.member[lane] >= 0:
                self.leave(lane)
        return 0

    cdef void take_epoch(self) noexcept nogil:
        cdef Py_ssize_t lane, most = 0, number
        cdef Member* member
        self.drawn.order = NULL
        for lane in range(self.width):
            self.total[lane] = self.counted[lane] = 0
            self.norm[lane] = NAN
            self.failed[lane] = False
            if self.member[lane] < 0:
                continue
            member = &self.all.members[self.member[lane]]
            self.of(lane).lr = lowered(
                &self.all.plateau, &member.now,
                self.all.rate(self.member[lane], member.now.epochs),
            )
            if self.all.shuffled:
                draw_order(&self.drawn, member.order, member.count, &member.now.random)
            most = max(most, (member.count + member.batch_size - 1) // member.batch_size)
        for number in range(self.groups):
            set_coefficients(&self.optimisers[number])
        for number in range(most):
            self.minibatch(number)
        self.end_epoch()

    cdef bint choose_sequences(self, Py_ssize_t number) noexcept nogil:
        """Each member's sequences of a minibatch, and what goes with them; whether there are
        any."""
        cdef Job* job = &self.plan.job
        cdef Py_ssize_t lane, first, i, steps = self.plan.passes * self.plan.net.hidden
        cdef double count, counted
        cdef bint found = False
        cdef Member* member
        for lane in range(MAX_LANES):
            job.counts[lane] = 0
            job.scale[lane] = 0
        for lane in range(self.width):
            if self.member[lane] < 0 or self.failed[lane]:
                continue
            member = &self.all.members[self.member[lane]]
            first = number * member.batch_size
            if first >= member.count:
                continue
            job.counts[lane] = min(member.batch_size, member.count - first)
            if member.lengths != NULL:
                sort_by_length(member.order + first, job.counts[lane], member.lengths, self.keys)
            for i in range(job.counts[lane]):
                self.sequences[lane][i] = member.sequences[member.order[first + i]]
            job.sequences[lane], job.numbers[lane] = self.sequences[lane], member.order + first
            count = sum_over(self.all.data.targets, job.sequences[lane], job.counts[lane])
            if count == 0:
                job.counts[lane] = 0
                continue
            found = True
            self.counted[lane] += count
            job.scale[lane] = <real>(1 / count)
            if job.drawing:
                job.dropout_seed[lane] = next_random(&member.now.random)
            if self.all.penalised:
                counted = sum_over(self.all.data.steps, job.sequences[lane], job.counts[lane])
                job.activation[lane] = <real>(2 * member.activation / (counted * steps))
        for lane in range(self.width, MAX_LANES):  # other sequences of the same members
            job.scale[lane] = job.scale[lane % self.width]
            job.activation[lane] = job.activation[lane % self.width]
            job.dropout_seed[lane] = job.dropout_seed[lane % self.width]
        return found

    cdef void work_on(self, Plan* plan, const Sequences* seqs, real* grad) noexcept nogil:
        """The sequences of the plan's job."""
        cdef Sequences mine = seqs[0]
        cdef Py_ssize_t lane, most = 0
        for lane in range(self.width):
            most = max(most, plan.job.counts[lane])
            plan.result.losses[lane] = 0
        plan.result.loss, plan.result.faults = 0, 0
        mine.order = plan.job.sequences[0]
        pack_weights(plan)
        work(plan, &mine, 0, most, grad)
        if self.width == 1:
            plan.result.losses[0] = plan.result.loss
        if plan.result.faults:
            shared_write(&self.all.faults, 1)
            shared_write(&self.all.stopped, 1)

    cdef void minibatch(self, Py_ssize_t number) noexcept nogil:
        """A gradient and an update for every member that has this minibatch.  One whose loss is not
        finite has neither, nor any later one in this epoch."""
        cdef Py_ssize_t lane
        cdef int g
        cdef unsigned long long mode
        cdef bint idle = False
        if not self.choose_sequences(number):
            return
        memset(self.gradient, 0, self.all.size * self.width * sizeof(real))
        self.work_on(&self.plan, &self.seqs, self.gradient)
        for lane in range(self.width):
            if self.plan.job.counts[lane] == 0:
                idle = idle or self.member[lane] >= 0
            elif isfinite(self.plan.result.losses[lane]):
                self.total[lane] += self.plan.result.losses[lane]
            else:
                self.failed[lane] = idle = True
        if idle:
            memcpy(self.kept, self.parameters, self.reals * sizeof(real))
            memcpy(self.old, self.optimisers, MODEL_GROUPS * sizeof(Optimiser))
        mode = flush_subnormals()
        for g in range(self.groups):
            update(&self.optimisers[g])
        restore_subnormals(mode)
        for lane in range(self.width):
            if self.plan.job.counts[lane] > 0 and not self.failed[lane]:
                self.norm[lane] = larger_norm(self.norm[lane], self.of(lane).norm)
            elif idle:
                self.undo(lane)

    cdef void undo(self, Py_ssize_t lane) noexcept nogil:
        """No update in a lane."""
        cdef size_t i = lane
        while i < self.reals:
            self.parameters[i] = self.kept[i]
            i += self.width
        self.of(lane)[0] = self.old[lane // LANES].of[lane % LANES]

    cdef void end_epoch(self) noexcept nogil:
        cdef Py_ssize_t lane, m
        cdef Member* member
        cdef double loss
        cdef bint fine
        for lane in range(self.width):
            m = self.member[lane]
            if m < 0:
                continue
            member = &self.all.members[m]
            loss = self.total[lane] / self.counted[lane]
            fine = finite_strided(self.parameters + lane, self.width, self.all.size)
            if self.failed[lane] or not isfinite(loss) or not fine:
                member.failed = True   # as it was after the epoch before
                self.member[lane] = -1
                continue
            self.from_lane(&self.all.flat[m, 0], self.parameters, lane)
            self.all.records[m, member.now.epochs, MEMBER_LOSS] = loss
            self.all.records[m, member.now.epochs, MEMBER_NORM] = self.norm[lane]
            member.now.updates = self.of(lane).updates
            member.now.epochs += 1
        if self.all.validated:
            self.validate()
        for lane in range(self.width):
            if self.member[lane] < 0:
                continue
            member = &self.all.members[self.member[lane]]
            look_for_plateau(
                &self.all.plateau, &member.now,
                self.all.records[
                    self.member[lane], member.now.epochs - 1,
                    MEMBER_VALIDATION if self.all.validated else MEMBER_LOSS,
                ],
                self.of(lane).lr,
            )
            if self.all.is_finished(member):
                self.leave(lane)

    cdef void validate(self) noexcept nogil:
        """Every member's loss on the sequences that it is not trained on."""
        cdef Job* job = &self.held_plan.job
        cdef Py_ssize_t lane, m
        cdef Member* member
        cdef double loss
        for lane in range(MAX_LANES):
            job.counts[lane] = 0
        for lane in range(self.width):
            if self.member[lane] >= 0:
                member = &self.all.members[self.member[lane]]
                job.sequences[lane], job.counts[lane] = member.held, member.held_count
        self.work_on(&self.held_plan, &self.held_seqs, NULL)
        for lane in range(self.width):
            m = self.member[lane]
            if m < 0:
                continue
            member = &self.all.members[m]
            loss = self.held_plan.result.losses[lane] / member.held_weight
            self.all.records[m, member.now.epochs - 1, MEMBER_VALIDATION] = loss
            if is_best(&member.now, loss):
                memcpy(&self.all.best[m, 0], &self.all.flat[m, 0], self.all.size * sizeof(real))
