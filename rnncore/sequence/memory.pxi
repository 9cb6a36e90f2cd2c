# The memory of a call.


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
