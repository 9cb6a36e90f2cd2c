# The memory of a call.


cdef int set_out(Arena arena, Plan* plan, const Sequences* seqs) except -1:
    """Give a plan its memory: packed weights, and whatever else it works with."""
    cdef size_t weights = lay_out_weights(plan, NULL)
    set_out_after(weights, arena, plan, seqs)
    lay_out_weights(plan, arena.base)
    return 0


cdef int set_out_after(
    size_t weights, Arena arena, Plan* plan, const Sequences* seqs,
) except -1:
    """After so many bytes, room to work in, and the tape of a block or, where these last, of every
    block."""
    cdef size_t room, tapes = 1
    plan.weight_rows = 1
    if seqs.target_weight != NULL:
        plan.weight_rows = target_width(&plan.net)
    room = lay_out_room(plan, NULL)
    plan.tape_bytes = lay_out_tape(plan, NULL)
    if plan.lasting:
        tapes = <size_t>blocks_of(plan, seqs.count)
        if <double>plan.tape_bytes * tapes > <double>(PY_SSIZE_T_MAX // 4):
            raise MemoryError(f"x: {<double>plan.tape_bytes * tapes:.3g} bytes for the tape")
    arena.fit(weights + room + tapes * plan.tape_bytes)
    lay_out_room(plan, arena.base + weights)
    plan.tapes = arena.base + weights + room
    lay_out_tape(plan, plan.tapes)
    return 0


cdef inline Py_ssize_t blocks_of(const Plan* plan, Py_ssize_t count) noexcept nogil:
    """How many blocks so many sequences make."""
    return (count + most_in_block(plan) - 1) // most_in_block(plan)


cdef inline int64_t order_of_weights(const Plan* plan) noexcept nogil:
    """A number for the way in which a network's weights are packed: where it is the same, so is
    what `pack_weights` writes of the same parameters. Never 0."""
    cdef int64_t flags = plan.units_in_lanes + 2 * plan.backward + 4 * plan.want_dx
    return 1 + flags + 8 * plan.tokens + 32 * (plan.vectors + 32 * plan.weights.packed)


cdef class CallMemory(Arena):
    """The memory of a call; and apart from it the packed weights, which the next call of the same
    kind takes as they are where the parameters have not changed. To pack them takes as long as
    tens of steps of one sequence, to compare them a tenth of that."""

    cdef Arena weights
    cdef int64_t order           # in which they are packed, see `order_of_weights`; 0: not at all
    cdef Py_ssize_t version      # of the engine when they were
    cdef real* copy              # (size) the parameters that were packed

    def __cinit__(self):
        self.weights, self.version = Arena(), -1

    cdef int set_out(self, Plan* plan, const Sequences* seqs) except -1:
        cdef size_t size = lay_out_weights(plan, NULL)
        cdef int64_t order = order_of_weights(plan)
        set_out_after(0, self, plan, seqs)
        if order != self.order:
            self.order, self.version = 0, -1
            self.weights.fit(size + plan.net.size * sizeof(real))
            self.order = order
        lay_out_weights(plan, self.weights.base)
        self.copy = <real*>(self.weights.base + size)
        return 0
