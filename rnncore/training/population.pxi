# Many models of one architecture, each with its own data, options and progress: what threads share
# while they train them.  Which members are trained together, and how, is in cohort.pxi.

cdef enum:
    MEMBER_LOSS, MEMBER_VALIDATION, MEMBER_NORM, MEMBER_COLUMNS

# What a member has of its own besides its vectors, which are rows of the population's arrays.
cdef struct Member:
    const int64_t* sequences  # (count) those that it is trained on
    const int64_t* lengths    # (count) their lengths, where these differ
    int64_t* order            # (count) from 0: in which order they came in the last epoch
    Py_ssize_t count
    Py_ssize_t batch_size
    const int64_t* held       # (held_count) those that are looked at after every epoch
    Py_ssize_t held_count
    double held_weight        # targets of theirs that count
    double activation         # strength of the penalty on the states
    Coefficients of           # of its optimiser
    Progress now
    bint failed               # its loss or a parameter was not finite


cdef enum:
    MODEL_GROUPS = 4           # of members, a vector of each in a row


# How many vectors of a row hide the latency of one, share the cost of a step, and fit the cache: of
# sequences of the same members, and of groups of members, each of which has weights of its own.


cdef inline int most_vectors(const Network* net) noexcept nogil:
    if net.hidden > 4 or net.cell.plain and net.hidden == 1:
        return 4
    return min(8, MAX_LANES // LANES)


cdef inline int most_groups(Py_ssize_t hidden) noexcept nogil:
    return MODEL_GROUPS if hidden <= 4 else 2


cdef inline bint can_be_grouped(const Network* net) noexcept nogil:
    """Whether vectors may have members of their own: not where one unit has loops of its own."""
    return net.hidden > 1 or not net.cell.plain


cdef inline int vectors_for(const Network* net, Py_ssize_t count) noexcept nogil:
    """Of how many sequences of a member a block takes a vector each: few waste nothing where a
    member has few.  A block of eight takes 1.8 to 1.9 times as long as one of four."""
    cdef int most = most_vectors(net)
    if most == 8 and (count + 7) // 8 * 9 <= (count + 3) // 4 * 5:
        return 8
    if count >= 3:
        return 4
    return 2 if count >= 2 else 1


cdef inline int groups_for(Py_ssize_t hidden, Py_ssize_t count) noexcept nogil:
    """In how many groups members are that have one sequence at a time: as many as hide the latency
    of one, but not where most of those added would be empty."""
    cdef int groups = 1
    while groups < most_groups(hidden) and count > groups * LANES and (
        groups == 1 or 2 * count > 3 * groups * LANES
    ):
        groups *= 2
    return groups


cdef inline void copy_strided(
    real* to, Py_ssize_t to_step, const real* numbers, Py_ssize_t step, Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        to[i * to_step] = numbers[i * step]


cdef inline bint finite_strided(
    const real* numbers, Py_ssize_t step, Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef real sum = 0
    for i in range(n):
        sum += numbers[i * step] * 0
    return sum == 0


cdef class Population:
    """The members of a population and their data.

    Sequences are those of one batch, and of another one for validation; each member has lists of
    numbers of sequences.  Everything a member has is its own, so what becomes of it does not
    depend on the others.
    """

    cdef Engine engine             # of any network of this architecture
    cdef Fitted data, held_data
    cdef real[:, ::1] flat, best   # (members, size)
    cdef const real[:, ::1] decay, l1
    cdef const real[::1] free
    cdef const int64_t[::1] sequences, held, leader
    cdef int64_t[::1] order, lengths
    cdef const int64_t[::1] waiting
    cdef double[:, :, ::1] records  # (members, epochs, MEMBER_COLUMNS)
    cdef const double[:, ::1] rates
    cdef Arena memory, vectors
    cdef Member* members
    cdef real* states[MOST_STATES]  # (members, size) of the optimisers
    cdef Rule rule
    cdef Plateau plateau
    cdef Py_ssize_t count, size, epochs, truncate
    cdef int64_t patience
    cdef bint shuffled, penalised, validated
    cdef shared_int taken          # members of `waiting` that are no longer waiting
    cdef shared_int stopped, faults
    cdef readonly Py_ssize_t width  # members side by side: LANES, or 1 with sequences in lanes

    def __cinit__(
        self, Engine engine not None, real[:, ::1] flat not None, Fitted data not None,
        Fitted held_data, const int64_t[::1] sequences not None,
        const int64_t[::1] counts not None,
        const int64_t[::1] held, const int64_t[::1] held_counts,
        const int64_t[::1] batch_sizes not None,
        const double[:, ::1] coefficients not None, const uint64_t[::1] seeds not None, *,
        int rule, const real[:, ::1] decay, const real[:, ::1] l1, const real[::1] free,
        const int64_t[::1] leader, Py_ssize_t truncate,
        bint shuffled, int64_t patience, tuple plateau, const double[:, ::1] rates not None,
        double[:, :, ::1] records not None, bint models_in_lanes,
    ):
        """sequences, held: each member's sequences
        one after another, as many as counts (members) says.  coefficients (members, 8): momentum,
        alpha, beta1, beta2, eps, clip_norm, clip_value, activation.  rates (members or 1, epochs or
        1)."""
        cdef Py_ssize_t m, members = flat.shape[0], at = 0, held_at = 0, i
        cdef Member* member
        self.engine, self.flat, self.count, self.size = engine, flat, members, engine.net.size
        self.data, self.held_data, self.validated = data, held_data, held_data is not None
        if self.validated:
            expect("held_counts", held_counts.shape[0], members)
        self.sequences, self.held = sequences, held
        self.decay, self.l1, self.free, self.leader = decay, l1, free, leader
        self.order, self.lengths = sequences.copy(), sequences.copy()
        self.rates, self.records, self.epochs = rates, records, records.shape[1]
        expect("flat", flat.shape[1], self.size)
        expect("records", records.shape[0], members)
        expect("records", records.shape[2], MEMBER_COLUMNS)
        for name, size in [
            ("counts", counts.shape[0]), ("batch_sizes", batch_sizes.shape[0]),
            ("coefficients", coefficients.shape[0]), ("seeds", seeds.shape[0]),
        ]:
            expect(name, size, members)
        expect("coefficients", coefficients.shape[1], 8)
        if decay is not None:
            reals("decay", &decay[0, 0], decay.shape, members, self.size)
        if l1 is not None:
            reals("l1", &l1[0, 0], l1.shape, members, self.size)
        if free is not None:
            reals("free", &free[0], free.shape, self.size)
        for i in range(2):
            if rates.shape[i] != 1:
                expect("rates", rates.shape[i], self.epochs if i else members)
        if not describe_rule(&self.rule, rule):
            raise ValueError(f"rule: there is no number {rule}")
        self.truncate, self.shuffled, self.patience = truncate, shuffled, patience
        self.plateau.factor, self.plateau.least, self.plateau.patience, self.plateau.after = plateau
        self.width = LANES if models_in_lanes else 1
        self.memory, self.vectors = Arena(), Arena()
        self.memory.fit(members * sizeof(Member))
        self.members = <Member*>self.memory.base
        memset(self.members, 0, members * sizeof(Member))
        self.vectors.fit(self.rule.states * members * self.size * sizeof(real))
        if self.rule.states:
            memset(self.vectors.base, 0, self.rule.states * members * self.size * sizeof(real))
        for i in range(self.rule.states):
            self.states[i] = <real*>self.vectors.base + i * members * self.size
        self.best = flat.copy()
        for m in range(members):
            member = &self.members[m]
            member.count, member.batch_size = counts[m], min(batch_sizes[m], counts[m])
            if member.batch_size < 1 or at + member.count > sequences.shape[0]:
                raise ValueError(f"sequences: expected those of member {m}")
            member.sequences, member.order = &sequences[at], &self.order[at]
            check_order(member.sequences, member.count, data.seqs.count)
            for i in range(member.count):
                member.order[i] = i
                if data.seqs.length != NULL:
                    self.lengths[at + i] = data.seqs.length[member.sequences[i]]
            if differ_in_length(member.sequences, member.count, data.seqs.length):
                member.lengths = &self.lengths[at]
            at += member.count
            if self.validated:
                member.held_count = held_counts[m]
                if member.held_count < 1 or held_at + member.held_count > held.shape[0]:
                    raise ValueError(f"held: expected sequences of member {m}")
                member.held = &held[held_at]
                check_order(member.held, member.held_count, held_data.seqs.count)
                held_at += member.held_count
                member.held_weight = sum_over(held_data.targets, member.held, member.held_count)
            member.of.momentum, member.of.alpha = coefficients[m, 0], coefficients[m, 1]
            member.of.beta1, member.of.beta2 = coefficients[m, 2], coefficients[m, 3]
            member.of.eps, member.of.clip_norm = coefficients[m, 4], coefficients[m, 5]
            member.of.clip_value, member.activation = coefficients[m, 6], coefficients[m, 7]
            self.penalised = self.penalised or member.activation > 0
            begin_progress(&member.now, seeds[m])

    cdef inline double rate(self, Py_ssize_t m, Py_ssize_t epoch) noexcept nogil:
        return self.rates[
            m if self.rates.shape[0] > 1 else 0, epoch if self.rates.shape[1] > 1 else 0
        ]

    cdef int64_t kind_of(self, const Member* member) noexcept nogil:
        """Members of the same kind can be trained together: their blocks have the same shape."""
        cdef const Network* net = &self.engine.net
        if self.width == 1:
            return member.batch_size << 32 | member.held_count
        if member.batch_size == 1 and can_be_grouped(net):
            return 0
        return vectors_for(net, member.batch_size) * 16 + vectors_for(net, member.held_count)

    def kinds(self):
        """(members): which can be trained together."""
        cdef Py_ssize_t m
        cdef cnp.ndarray answer = cnp.PyArray_ZEROS(1, [self.count], cnp.NPY_INT64, 0)
        for m in range(self.count):
            (<int64_t*>cnp.PyArray_DATA(answer))[m] = self.kind_of(&self.members[m])
        return answer

    cdef inline bint is_finished(self, const Member* member) noexcept nogil:
        return (
            member.failed or member.now.epochs >= self.epochs
            or self.patience > 0 and member.now.waited >= self.patience
        )

    def finished(self):
        """(members): 0 where a member is not finished, 1 where all its epochs are done, 2 where
        its patience is over, 3 where its loss or a parameter was not finite."""
        cdef Py_ssize_t m
        cdef cnp.ndarray answer = cnp.PyArray_ZEROS(1, [self.count], cnp.NPY_INT64, 0)
        cdef int64_t* why = <int64_t*>cnp.PyArray_DATA(answer)
        cdef const Member* member
        for m in range(self.count):
            member = &self.members[m]
            if member.failed:
                why[m] = 3
            elif self.patience > 0 and member.now.waited >= self.patience:
                why[m] = 2
            elif member.now.epochs >= self.epochs:
                why[m] = 1
        return answer

    def epochs_done(self):
        """(members): epochs that each has finished."""
        cdef Py_ssize_t m
        cdef cnp.ndarray answer = cnp.PyArray_ZEROS(1, [self.count], cnp.NPY_INT64, 0)
        for m in range(self.count):
            (<int64_t*>cnp.PyArray_DATA(answer))[m] = self.members[m].now.epochs
        return answer

    def begin(self, const int64_t[::1] waiting not None):
        """Threads that call `train_members` now share these members."""
        check_order(&waiting[0], waiting.shape[0], self.count)
        self.waiting = waiting
        shared_write(&self.taken, 0)
        shared_write(&self.stopped, 0)

    def stop(self):
        """Let those who train stop after the epoch they are at."""
        shared_write(&self.stopped, 1)

    @property
    def data_changed(self):
        """Whether numbers of the data were changed into impossible ones meanwhile."""
        return shared_read(&self.faults) != 0

    def use_best(self):
        """Make every member that has a validation loss the one with its best."""
        cdef Py_ssize_t m
        for m in range(self.count):
            if self.members[m].now.best < INFINITY:
                memcpy(&self.flat[m, 0], &self.best[m, 0], self.size * sizeof(real))

    def state(self, const int64_t[::1] members not None):
        """All that the next epochs of some members depend on, as arrays by name: a row for each,
        and their orders one after another."""
        cdef Py_ssize_t i, k, m, n = members.shape[0], at = 0, size = sizeof(Progress) + 1
        cdef cnp.ndarray progress = cnp.PyArray_ZEROS(2, [n, size], cnp.NPY_UINT8, 0)
        cdef cnp.ndarray order = cnp.PyArray_ZEROS(1, [self.length_of(members)], cnp.NPY_INT64, 0)
        cdef cnp.ndarray vector
        cdef unsigned char* row
        cdef const Member* member
        for i in range(n):
            member = &self.members[members[i]]
            row = <unsigned char*>cnp.PyArray_DATA(progress) + i * size
            memcpy(row, &member.now, sizeof(Progress))
            row[sizeof(Progress)] = member.failed
            memcpy(
                <int64_t*>cnp.PyArray_DATA(order) + at, member.order,
                member.count * sizeof(int64_t),
            )
            at += member.count
        arrays = {"progress": progress, "order": order}
        for k, name in enumerate(self.vector_names()):
            vector = new_reals(2, n, self.size)
            for i in range(n):
                memcpy(data_of(vector) + i * self.size, self.vector(k, members[i]),
                       self.size * sizeof(real))
            arrays[name] = vector
        return arrays

    def restore(self, const int64_t[::1] members not None, dict arrays not None):
        """Let some members go on from what `state` of them returned, here or elsewhere."""
        cdef const unsigned char[:, ::1] progress = arrays["progress"]
        cdef const int64_t[::1] order = arrays["order"]
        cdef const real[:, ::1] vector
        cdef Py_ssize_t i, k, at = 0, n = members.shape[0]
        cdef Member* member
        names = self.vector_names()
        expect("progress", progress.shape[0], n)
        expect("progress", progress.shape[1], sizeof(Progress) + 1)
        expect("order", order.shape[0], self.length_of(members))
        for i in range(n):
            check_order(&order[at], self.members[members[i]].count, self.members[members[i]].count)
            at += self.members[members[i]].count
        for name in names:
            vector = arrays[name]
            reals(name, &vector[0, 0], vector.shape, n, self.size)
        at = 0
        for i in range(n):
            member = &self.members[members[i]]
            memcpy(&member.now, &progress[i, 0], sizeof(Progress))
            member.failed = progress[i, sizeof(Progress)] != 0
            memcpy(member.order, &order[at], member.count * sizeof(int64_t))
            at += member.count
        for k, name in enumerate(names):
            vector = arrays[name]
            for i in range(n):
                memcpy(self.vector(k, members[i]), &vector[i, 0], self.size * sizeof(real))

    cdef Py_ssize_t length_of(self, const int64_t[::1] members) except -1:
        """How many sequences some members have together."""
        cdef Py_ssize_t i, length = 0
        check_order(&members[0], members.shape[0], self.count)
        for i in range(members.shape[0]):
            length += self.members[members[i]].count
        return length

    cdef list vector_names(self):
        return ["parameters", "best", "first", "second"][:2 + self.rule.states]

    cdef real* vector(self, Py_ssize_t k, Py_ssize_t m) noexcept:
        """A member's vector of the k-th name."""
        if k == 0:
            return &self.flat[m, 0]
        if k == 1:
            return &self.best[m, 0]
        return self.states[k - 2] + m * self.size
