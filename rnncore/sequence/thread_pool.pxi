# A job shared among threads.
#
# The sequences of a job are cut into *groups* of whole blocks, by the problem alone.
# A thread that is free takes the next group; each group's gradient is a vector of its own, and
# they are added up in order.  So the result is bit-identical for any number of threads.
#
# The calling thread is one of the pool.  The others are Python threads that work without the GIL
# for as long as there may be work, and look for it by spinning, then yielding: a group may be taken
# within a microsecond of being there.  A helper that comes late, or never, finds its work done by
# the others.  Between jobs helpers wait at a queue, which takes no time.

cdef enum:
    MOST_GROUPS = 64
    # Multiply-adds from which a second thread is worth its cost: for a call, which must wake it,
    # and for a minibatch of a fit, where it is looking for work.
    CALL_WORTH_SHARING = 20_000_000
    BATCH_WORTH_SHARING = 1_000_000
    # Multiply-adds that take as long as to clear and add one number of a group's gradient.
    GRADIENT_COST = 8
    HELPER_KEEPS = 1 << 24    # bytes of memory between jobs


cdef inline double cost(const Plan* plan, Py_ssize_t count, Py_ssize_t time) noexcept nogil:
    """About how many multiply-adds: a nonlinearity is worth some thirty."""
    cdef Py_ssize_t rows = 0, i
    for i in range(plan.passes):
        rows += plan.layers[i].rows + 30
    return <double>count * time * plan.net.hidden * rows * (3 if plan.backward else 1)


cdef inline Py_ssize_t groups_of(
    const Plan* plan, Py_ssize_t count, Py_ssize_t time,
) noexcept nogil:
    """Into how many groups they are cut: one where the work on a group is less than what its
    gradient costs, which is cleared and added. So it is with a large vocabulary, or where a group
    is a single short sequence."""
    cdef Py_ssize_t groups = min(MOST_GROUPS, blocks_of(plan, count))
    cdef double work = cost(plan, count, time)
    if plan.backward and work < <double>groups * plan.net.size * GRADIENT_COST:
        return 1
    if plan.units_in_lanes and work < BATCH_WORTH_SHARING:
        return 1
    return groups


cdef class ThreadPool:
    """Threads, and the job they share.

    Set ``plan`` (with weights packed), ``seqs``, ``first``, ``count`` and ``grad``, call
    `divide`, and `work_together`; the plan then has the job's loss and faults.
    """

    cdef Plan* plan                # the caller's; gone when the job is done
    cdef Arena pattern             # a copy of it, for helpers to make their own of
    cdef const Sequences* seqs
    cdef Py_ssize_t first, count, groups, most_groups
    cdef real* grad                # (size), added to
    cdef Arena slots               # (groups - 1, size): the gradients of the others
    cdef double losses[MOST_GROUPS]
    cdef int faults[MOST_GROUPS]
    cdef shared_int waiting        # groups nobody has taken yet
    cdef shared_int done           # groups finished
    cdef shared_int dismissed

    def __cinit__(self):
        self.slots = Arena()

    cdef int divide(self) except -1:
        """Room for the groups of this job, and of any with fewer sequences."""
        self.most_groups = groups_of(self.plan, self.count, self.seqs.time)
        if sums_gradients(self.plan):
            self.slots.fit((self.most_groups - 1) * self.plan.net.size * sizeof(real))
        return 0

    cdef int call_helpers(self, object threads, double worth) except -1:
        """So many threads in all, the caller's among them; None: chosen automatically."""
        cdef Py_ssize_t wanted
        if threads is None:
            if cost(self.plan, self.count, self.seqs.time) < worth:
                return 0
            from rnncore._runtime.threads import available
            threads = available()
        wanted = min(<Py_ssize_t>threads, self.most_groups) - 1
        if wanted <= 0:  # for most calls: a plan is large
            return 0
        self.pattern = Arena()
        self.pattern.fit(sizeof(Plan))
        memcpy(self.pattern.base, self.plan, sizeof(Plan))
        return ask_for_help(self, wanted)

    cdef void work_together(self) noexcept nogil:
        cdef Py_ssize_t group, i, size = self.plan.net.size
        cdef int64_t looks = 0
        cdef const real* slot
        self.groups = min(self.most_groups, blocks_of(self.plan, self.count))
        if self.groups == 1:
            self.work_on(self.plan, 0)
        else:
            shared_write(&self.done, 0)
            shared_write(&self.waiting, self.groups)
            while self.take(&group):
                self.work_on(self.plan, group)
                shared_add(&self.done, 1)
            while shared_read(&self.done) < self.groups:
                look_again(looks)
                looks += 1
        self.plan.result.loss, self.plan.result.faults = self.losses[0], self.faults[0]
        for group in range(1, self.groups):
            self.plan.result.loss += self.losses[group]
            self.plan.result.faults |= self.faults[group]
            if sums_gradients(self.plan):
                slot = self.slot(group)
                for i in range(size):
                    self.grad[i] += slot[i]

    cdef bint take(self, Py_ssize_t* group) noexcept nogil:
        cdef int64_t left = shared_read(&self.waiting)
        while left > 0:
            if shared_swap(&self.waiting, left, left - 1):
                group[0] = left - 1
                return True
            left = shared_read(&self.waiting)
        return False

    cdef real* slot(self, Py_ssize_t group) noexcept nogil:
        if group == 0 or not sums_gradients(self.plan):
            return self.grad
        return <real*>self.slots.base + (group - 1) * self.plan.net.size

    cdef void work_on(self, Plan* mine, Py_ssize_t group) noexcept nogil:
        """One group, with a plan of one's own."""
        cdef Py_ssize_t blocks = blocks_of(mine, self.count), width = most_in_block(mine)
        cdef Py_ssize_t begin = group * blocks // self.groups * width
        cdef Py_ssize_t end = min(self.count, (group + 1) * blocks // self.groups * width)
        cdef real* grad = self.slot(group)
        if group > 0 and sums_gradients(mine):
            memset(grad, 0, mine.net.size * sizeof(real))
        mine.result.loss, mine.result.faults = 0, 0
        if mine != self.plan:
            mine.job = self.plan.job
        work(mine, self.seqs, self.first + begin, end - begin, grad)
        self.losses[group], self.faults[group] = mine.result.loss, mine.result.faults

    cdef int help(self, Arena arena) except -1:
        """What a helper does: groups, until dismissed."""
        cdef Plan mine
        cdef Py_ssize_t group
        cdef int64_t looks = 0
        cdef size_t room
        if shared_read(&self.dismissed):
            return 0
        memcpy(&mine, self.pattern.base, sizeof(Plan))
        room = lay_out_room(&mine, NULL)
        try:
            arena.fit(room + (0 if mine.lasting else mine.tape_bytes))
        except MemoryError:
            return 0
        lay_out_room(&mine, arena.base)
        if not mine.lasting:
            lay_out_tape(&mine, arena.base + room)
        with nogil:
            while not shared_read(&self.dismissed):
                if self.take(&group):
                    self.work_on(&mine, group)
                    shared_add(&self.done, 1)
                    looks = 0
                else:
                    look_again(looks)
                    looks += 1
        return 0

    cdef void dismiss(self) noexcept nogil:
        shared_write(&self.dismissed, 1)


# What helpers wait at: pools that want help. There are as many helpers as a call has ever wanted; a
# fork leaves none of them.
cdef object asking = SimpleQueue()
cdef Py_ssize_t helpers = 0
cdef int32_t helpers_process = forks


def help_others(queue):
    """What a helper is: it helps one pool after another."""
    cdef ThreadPool pool
    cdef Arena arena = Arena()
    while True:
        pool = queue.get()
        pool.help(arena)
        pool = None
        if arena.size > HELPER_KEEPS:
            arena = Arena()


cdef int ask_for_help(ThreadPool pool, Py_ssize_t wanted) except -1:
    """Ask so many helpers, starting those that are missing, unless all of them are busy and asked
    already."""
    global asking, helpers, helpers_process
    cdef Py_ssize_t _
    if helpers_process != forks:
        asking, helpers, helpers_process = SimpleQueue(), 0, forks
    while helpers < wanted:
        try:
            start_new_thread(help_others, (asking,))
        except RuntimeError:           # no more threads to be had: the others do the work
            break
        helpers += 1
    for _ in range(min(wanted, helpers)):
        if <Py_ssize_t>asking.qsize() < helpers:
            asking.put(pool)
    return 0
