# Sequences block by block, forwards and back.


cdef void work(
    Plan* plan, const Sequences* seqs, Py_ssize_t first, Py_ssize_t count, real* grad,
) noexcept nogil:
    """Sequences first .. first + count, block by block; grad (where the plan goes back) is added
    to."""
    cdef Py_ssize_t done = 0, i, n
    cdef unsigned long long mode = flush_subnormals()
    if sums_gradients(plan):
        for i in range(plan.passes):
            clear_sums(plan, &plan.layers[i])
    if plan.chunked:
        for i in range(first, first + count):
            work_in_chunks(plan, seqs, seqs.order[i] if seqs.order != NULL else i, grad)
        done = count
    while done < count:
        n = min(most_in_block(plan), count - done)
        if plan.lasting:
            lay_out_tape(
                plan, plan.tapes + (first + done) // most_in_block(plan) * plan.tape_bytes
            )
        open_block(plan, seqs, first + done, n)
        if not plan.pulled:
            forward_block(plan, seqs)
        if goes_back(plan):
            backward_block(plan, seqs, grad)
        done += n
    if sums_gradients(plan):
        for i in range(plan.passes):
            finish_gradient(plan, &plan.layers[i], grad)
    restore_subnormals(mode)
