# A cohort: the members of a population that one thread trains at the same time, epoch by epoch.
#
# With models in the lanes there are as many as a vector has lanes: parameters, gradient and what
# the optimiser remembers are matrices with a row for each parameter and a member in each lane.
# Otherwise it is one member, whose sequences are in the lanes.  A member that is finished leaves
# its place to the next one that waits, so a fit takes as long as its members train.  The epochs of
# a cohort begin and end together; a member with fewer minibatches than another waits for it.

cdef enum:
    MOST_VECTORS = 4          # sequences of a member side by side


cdef inline int vectors_for(Py_ssize_t hidden, Py_ssize_t count) noexcept nogil:
    """Of how many sequences of a member a block takes a vector each: several hide the latency of
    one, few waste nothing where a member has few."""
    cdef int most = MOST_VECTORS if hidden <= 4 else 2
    if count >= 3 and most == 4:
        return 4
    return 2 if count >= 2 else 1


cdef class Cohort:
    cdef Population all
    cdef Arena block, held_block, memory
    cdef Plan plan, held_plan
    cdef Sequences seqs, held_seqs
    cdef Optimiser optimiser
    cdef Py_ssize_t width
    cdef int64_t kind              # of its members, see `kind_of`
    cdef Py_ssize_t member[LANES]  # -1: none
    cdef Coefficients old[LANES]
    cdef size_t reals              # of parameters and what the optimiser remembers of them
    cdef real* kept                # a copy of these
    cdef int64_t* keys
    cdef int64_t* sequences[LANES]  # room for each member's of a minibatch
    cdef double total[LANES]       # loss of the epoch so far
    cdef double counted[LANES]     # targets
    cdef double norm[LANES]
    cdef bint failed[LANES]

    def __cinit__(self, Population population not None):
        cdef Optimiser* o = &self.optimiser
        cdef Py_ssize_t i, rows, most = 1, size = population.size, W = population.width
        cdef size_t used = 0
        self.all, self.width, self.kind = population, W, -1
        self.block, self.held_block, self.memory = Arena(), Arena(), Arena()
        for i in range(LANES):
            self.member[i] = -1
        for i in range(population.count):
            most = max(most, population.members[i].batch_size)
        o.rule, o.each = population.rule, W > 1
        o.vectors = size if W > 1 else (size + LANES - 1) // LANES
        rows = o.vectors * LANES
        self.reals = (1 + o.rule.states) * rows
        for _ in range(2):         # first only how much memory that is
            used = 0
            o.parameters = carve_reals(self.memory.base, &used, self.reals)
            self.kept = carve_reals(self.memory.base, &used, self.reals)
            o.gradient = carve_reals(self.memory.base, &used, rows)
            o.decay = o.l1 = o.free = NULL
            if population.decay is not None:
                o.decay = carve_reals(self.memory.base, &used, rows)
            if population.l1 is not None:
                o.l1 = carve_reals(self.memory.base, &used, rows)
            if population.free is not None:
                o.free = carve_reals(self.memory.base, &used, rows)
            self.keys = <int64_t*>carve(self.memory.base, &used, most, sizeof(int64_t))
            for i in range(W):
                self.sequences[i] = <int64_t*>carve(
                    self.memory.base, &used, most, sizeof(int64_t)
                )
            if self.memory.base == NULL:
                self.memory.fit(used)
        memset(self.memory.base, 0, used)
        for i in range(o.rule.states):
            o.state[i] = o.parameters + (i + 1) * rows
        for i in range(W if o.free != NULL else 0):
            self.to_lane(o.free, i, &population.free[0])

    # ---- who is in it

    cdef int64_t kind_of(self, const Member* member) noexcept nogil:
        """Members of the same kind can be trained together: their blocks have the same shape."""
        cdef Py_ssize_t H = self.all.engine.net.hidden
        if self.width == 1:
            return member.batch_size << 32 | member.held_count
        return vectors_for(H, member.batch_size) * 8 + vectors_for(H, member.held_count)

    cdef int prepare(self, const Member* like) except -1:
        """Plans for members of this kind."""
        cdef Engine engine = self.all.engine
        cdef int train = 0, held = 0
        if self.width > 1:
            train = vectors_for(engine.net.hidden, like.batch_size)
            held = vectors_for(engine.net.hidden, like.held_count)
        self.seqs = self.all.data.seqs
        engine.prepare(
            &self.plan, &self.seqs, like.batch_size, True, False, self.all.truncate,
            self.all.penalised, 0, train,
        )
        set_out(self.block, &self.plan, &self.seqs)
        self.plan.parameters = self.optimiser.parameters
        self.plan.job.dropout = self.plan.net.dropout
        if self.all.validated:
            self.held_seqs = self.all.held_data.seqs
            engine.prepare(
                &self.held_plan, &self.held_seqs, like.held_count, False, False, 0, 0, 0, held
            )
            set_out(self.held_block, &self.held_plan, &self.held_seqs)
            self.held_plan.parameters = self.optimiser.parameters
        self.kind = self.kind_of(like)
        return 0

    cdef Py_ssize_t fill(self) except -1 nogil:
        """Give places that are free to members that wait; how many members there are then."""
        cdef Py_ssize_t lane, there = 0
        cdef int64_t first
        cdef const Member* next
        for lane in range(self.width):
            there += self.member[lane] >= 0
        for lane in range(self.width):
            while self.member[lane] < 0:
                first = shared_read(&self.all.taken)
                if first >= self.all.waiting.shape[0]:
                    return there
                next = &self.all.members[self.all.waiting[first]]
                if there and self.kind_of(next) != self.kind:
                    return there
                if not shared_swap(&self.all.taken, first, first + 1) or self.all.is_finished(next):
                    continue
                if self.kind_of(next) != self.kind:
                    with gil:
                        self.prepare(next)
                self.enter(lane, self.all.waiting[first])
                there += 1
        return there

    cdef void enter(self, Py_ssize_t lane, Py_ssize_t m) noexcept nogil:
        cdef Optimiser* o = &self.optimiser
        cdef Py_ssize_t size = self.all.size, i
        self.member[lane] = m
        o.of[lane] = self.all.members[m].of
        o.of[lane].updates = self.all.members[m].now.updates
        self.to_lane(o.parameters, lane, &self.all.flat[m, 0])
        for i in range(o.rule.states):
            self.to_lane(o.state[i], lane, self.all.states[i] + m * size)
        if o.decay != NULL:
            self.to_lane(o.decay, lane, &self.all.decay[m, 0])
        if o.l1 != NULL:
            self.to_lane(o.l1, lane, &self.all.l1[m, 0])

    cdef void leave(self, Py_ssize_t lane) noexcept nogil:
        """What a member's next epochs would need, but for what is kept after every epoch."""
        cdef Optimiser* o = &self.optimiser
        cdef Py_ssize_t i
        for i in range(o.rule.states):
            self.from_lane(
                self.all.states[i] + self.member[lane] * self.all.size, o.state[i], lane
            )
        self.member[lane] = -1

    cdef void to_lane(self, real* rows, Py_ssize_t lane, const real* numbers) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(self.all.size):
            rows[i * self.width + lane] = numbers[i]

    cdef void from_lane(self, real* numbers, const real* rows, Py_ssize_t lane) noexcept nogil:
        cdef Py_ssize_t i
        for i in range(self.all.size):
            numbers[i] = rows[i * self.width + lane]

    # ---- the loop over epochs

    cdef int run(self, double until) except -1 nogil:
        cdef Py_ssize_t lane
        while self.fill():
            self.take_epoch()
            if shared_read(&self.all.faults):
                break
            if shared_read(&self.all.stopped) or seconds_now() > until:
                break
        for lane in range(self.width):
            if self.member[lane] >= 0:
                self.leave(lane)
        return 0

    cdef void take_epoch(self) noexcept nogil:
        cdef Py_ssize_t lane, most = 0, number
        cdef Member* member
        for lane in range(self.width):
            self.total[lane] = self.counted[lane] = 0
            self.norm[lane] = NAN
            self.failed[lane] = False
            if self.member[lane] < 0:
                continue
            member = &self.all.members[self.member[lane]]
            self.optimiser.of[lane].lr = lowered(
                &self.all.plateau, &member.now,
                self.all.rate(self.member[lane], member.now.epochs),
            )
            if self.all.shuffled:
                shuffle(member.order, member.count, &member.now.random)
            most = max(most, (member.count + member.batch_size - 1) // member.batch_size)
        set_coefficients(&self.optimiser)
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
        for lane in range(LANES):
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
            if job.dropout > 0:
                job.dropout_seed[lane] = next_random(&member.now.random)
            if self.all.penalised:
                counted = sum_over(self.all.data.steps, job.sequences[lane], job.counts[lane])
                job.activation[lane] = <real>(2 * member.activation / (counted * steps))
        if self.width == 1:  # its sequences are in the lanes
            set_lanes(job.scale, job.scale[0])
            set_lanes(job.activation, job.activation[0])
            set_seeds(job, job.dropout_seed[0])
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

    cdef void minibatch(self, Py_ssize_t number) noexcept nogil:
        """A gradient and an update for every member that has this minibatch.  One whose loss is not
        finite has neither, nor any later one in this epoch."""
        cdef Optimiser* o = &self.optimiser
        cdef Py_ssize_t lane
        cdef unsigned long long mode
        cdef bint idle = False
        if not self.choose_sequences(number):
            return
        memset(o.gradient, 0, o.vectors * LANES * sizeof(real))
        self.work_on(&self.plan, &self.seqs, o.gradient)
        for lane in range(self.width):
            if self.plan.job.counts[lane] == 0:
                idle = idle or self.member[lane] >= 0
            elif isfinite(self.plan.result.losses[lane]):
                self.total[lane] += self.plan.result.losses[lane]
            else:
                self.failed[lane] = idle = True
        if idle:
            memcpy(self.kept, o.parameters, self.reals * sizeof(real))
            memcpy(self.old, o.of, LANES * sizeof(Coefficients))
        mode = flush_subnormals()
        update(o)
        restore_subnormals(mode)
        for lane in range(self.width):
            if self.plan.job.counts[lane] > 0 and not self.failed[lane]:
                self.norm[lane] = larger_norm(self.norm[lane], o.of[lane].norm)
            elif idle:
                self.undo(lane)

    cdef void undo(self, Py_ssize_t lane) noexcept nogil:
        """No update in a lane."""
        cdef size_t i = lane
        while i < self.reals:
            self.optimiser.parameters[i] = self.kept[i]
            i += self.width
        self.optimiser.of[lane] = self.old[lane]

    cdef bint is_finite(self, Py_ssize_t lane) noexcept nogil:
        cdef Py_ssize_t i
        cdef real sum = 0
        for i in range(self.all.size):
            sum += self.optimiser.parameters[i * self.width + lane] * 0
        return sum == 0

    cdef void end_epoch(self) noexcept nogil:
        cdef Py_ssize_t lane, m
        cdef Member* member
        cdef double loss
        for lane in range(self.width):
            m = self.member[lane]
            if m < 0:
                continue
            member = &self.all.members[m]
            loss = self.total[lane] / self.counted[lane]
            if self.failed[lane] or not isfinite(loss) or not self.is_finite(lane):
                member.failed = True   # as it was after the epoch before
                self.member[lane] = -1
                continue
            self.from_lane(&self.all.flat[m, 0], self.optimiser.parameters, lane)
            self.all.records[m, member.now.epochs, MEMBER_LOSS] = loss
            self.all.records[m, member.now.epochs, MEMBER_NORM] = self.norm[lane]
            member.now.updates = self.optimiser.of[lane].updates
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
                self.optimiser.of[lane].lr,
            )
            if self.all.is_finished(member):
                self.leave(lane)

    cdef void validate(self) noexcept nogil:
        """Every member's loss on the sequences that it is not trained on."""
        cdef Job* job = &self.held_plan.job
        cdef Py_ssize_t lane, m
        cdef Member* member
        cdef double loss
        for lane in range(LANES):
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


def kinds(Population population not None):
    """(members): which can be trained together."""
    cdef Py_ssize_t m
    cdef Cohort cohort = Cohort(population)
    cdef cnp.ndarray answer = cnp.PyArray_ZEROS(1, [population.count], cnp.NPY_INT64, 0)
    for m in range(population.count):
        (<int64_t*>cnp.PyArray_DATA(answer))[m] = cohort.kind_of(&population.members[m])
    return answer


def train_members(Population population not None, double seconds):
    """Train members that wait until there are none, for so many seconds, or until `stop`.  Any
    number of threads may do so at once, without the GIL."""
    cdef Cohort cohort = Cohort(population)
    cdef double until = seconds_now() + seconds
    with nogil:
        cohort.run(until)
