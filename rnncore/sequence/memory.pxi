# The memory of a call.


cdef int set_out(Arena arena, Plan* plan, const Sequences* seqs) except -1:
    """Give a plan its memory: packed weights, room to work in, and the tape of a block or, where
    these last, of every block."""
    cdef size_t weights = lay_out_weights(plan, NULL), room, tapes = 1
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
    lay_out_weights(plan, arena.base)
    lay_out_room(plan, arena.base + weights)
    plan.tapes = arena.base + weights + room
    lay_out_tape(plan, plan.tapes)
    return 0


cdef inline Py_ssize_t blocks_of(const Plan* plan, Py_ssize_t count) noexcept nogil:
    """How many blocks so many sequences make."""
    return (count + most_in_block(plan) - 1) // most_in_block(plan)
