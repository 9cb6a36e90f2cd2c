# Where a fit stands: what is remembered from epoch to epoch, and what is decided by it.

# What of an epoch is recorded.
cdef enum:
    LOSS, VALIDATION, NORM, RATE, SECONDS, COLUMNS

# What a trainer's state is made of besides vectors, in this order.
cdef struct Progress:
    int64_t updates           # of the optimiser
    uint64_t random
    int64_t epochs            # finished
    int64_t waited            # epochs without a better validation loss
    int64_t plateau_waited
    double best               # validation loss
    double plateau_best
    double rate_scale         # what the plateaus so far have made of the learning rate

# When to lower the learning rate: ReduceLROnPlateau of PyTorch.
cdef struct Plateau:
    double factor             # 0: never
    double least              # learning rate to lower it to
    int64_t patience
    int64_t after             # epochs: the losses of these do not count


cdef inline double larger_norm(double largest, double norm) noexcept nogil:
    """The largest norm so far, NaN where there was none; one that is not finite is infinite."""
    return fmax(largest, norm if isfinite(norm) else INFINITY)


cdef void begin_progress(Progress* now, uint64_t seed) noexcept nogil:
    memset(now, 0, sizeof(Progress))
    now.random, now.rate_scale = seed, 1
    now.best = now.plateau_best = INFINITY


cdef bint is_best(Progress* now, double loss) noexcept nogil:
    """Whether no validation loss was as small; and how long ago the smallest was."""
    now.waited += 1
    if not loss < now.best:
        return False
    now.best, now.waited = loss, 0
    return True


cdef double lowered(const Plateau* plateau, const Progress* now, double rate) noexcept nogil:
    """What the plateaus so far have made of a learning rate; one below `least` stays."""
    return min(rate, max(plateau.least, rate * now.rate_scale))


cdef void look_for_plateau(
    const Plateau* plateau, Progress* now, double loss, double rate,
) noexcept nogil:
    """Lower the learning rate where the loss has not become smaller for a while."""
    if plateau.factor == 0 or now.epochs <= plateau.after:
        return
    if loss < now.plateau_best * (1 - 1e-4):
        now.plateau_best, now.plateau_waited = loss, 0
        return
    now.plateau_waited += 1
    if now.plateau_waited > plateau.patience:
        now.plateau_waited = 0
        if rate > plateau.least:
            now.rate_scale *= plateau.factor


cdef int check_order(const int64_t* order, Py_ssize_t count, Py_ssize_t sequences) except -1:
    cdef Py_ssize_t i
    if count < 1:
        raise ValueError("order: expected at least one sequence")
    for i in range(count):
        if not 0 <= order[i] < sequences:
            raise ValueError(f"order: no sequence {order[i]}")
    return 0


cdef class Fitted:
    """The data of a fit, as its loops read them."""

    cdef Batch batch
    cdef const real[:, ::1] target, weight
    cdef const int64_t[::1] classes
    cdef Sequences seqs
    cdef Arena memory
    cdef double* targets           # (B) how many targets of a sequence count, or their weights' sum
    cdef double* steps             # (B) how many steps count

    def __cinit__(
        self, Engine engine not None, Batch batch not None, const real[:, ::1] target,
        const int64_t[::1] classes, const real[:, ::1] weight,
    ):
        cdef Sequences* seqs = &self.seqs
        cdef Py_ssize_t i, rows = engine.outputs_of(batch)
        cdef size_t used = 0
        cdef int64_t s
        cdef real* numbers
        self.batch, self.target, self.classes, self.weight = batch, target, classes, weight
        engine.take_batch(seqs, batch)
        engine.set_targets(seqs, batch, target, classes, weight)
        self.memory = Arena()
        self.memory.fit((2 * seqs.count + 16) * sizeof(double) + (rows + 16) * sizeof(real))
        self.targets = <double*>carve(self.memory.base, &used, seqs.count, sizeof(double))
        self.steps = <double*>carve(self.memory.base, &used, seqs.count, sizeof(double))
        for i in range(seqs.count):
            s = i
            seqs.order = &s
            self.targets[i] = count_targets(&engine.net, seqs, 0, 1)
            self.steps[i] = count_steps(seqs, 0, 1)
        seqs.order = NULL
        if classes is not None:    # as reals they are gathered like any other numbers
            numbers = carve_reals(self.memory.base, &used, rows)
            for i in range(rows):
                numbers[i] = <real>classes[i]
            seqs.target, seqs.classes = numbers, NULL


cdef double sum_over(const double* numbers, const int64_t* order, Py_ssize_t count) noexcept nogil:
    """What some of the sequences have together."""
    cdef Py_ssize_t i
    cdef double sum = 0
    for i in range(count):
        sum += numbers[order[i]]
    return sum


cdef double count_steps(
    const Sequences* seqs, Py_ssize_t first, Py_ssize_t count,
) noexcept nogil:
    """Steps that count, of sequences first .. first + count of the order."""
    cdef Py_ssize_t i, s, t, start, length
    cdef double steps = 0
    for i in range(first, first + count):
        s = seqs.order[i] if seqs.order != NULL else i
        start = seqs.start[s] if seqs.start != NULL else s * seqs.time
        length = seqs.length[s] if seqs.length != NULL else seqs.time
        if seqs.mask == NULL:
            steps += length
            continue
        for t in range(start, start + length):
            steps += seqs.mask[t] != 0
    return steps
