# The memory of a call, and the halves of an LSTM's states.


cdef int set_out(Arena arena, Plan* plan, const Sequences* seqs) except -1:
    """Give a plan its memory."""
    cdef size_t weights = lay_out_weights(plan, NULL)
    plan.weight_rows = 1
    if seqs.target_weight != NULL:
        plan.weight_rows = target_width(&plan.net)
    arena.fit(weights + lay_out_block(plan, NULL))
    lay_out_weights(plan, arena.base)
    lay_out_block(plan, arena.base + weights)
    return 0


cdef void split_states(Sequences* seqs, Py_ssize_t size) noexcept:
    """Find c after h in the states of an LSTM."""
    if seqs.h0 != NULL:
        seqs.c0 = seqs.h0 + size
    if seqs.final != NULL:
        seqs.final_c = seqs.final + size
    if seqs.dh0 != NULL:
        seqs.dc0 = seqs.dh0 + size
