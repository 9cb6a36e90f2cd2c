# Sequences block by block, forwards and back.


cdef void work(
    Plan* plan, const Sequences* seqs, Py_ssize_t first, Py_ssize_t count, real* grad,
) noexcept nogil:
    """Sequences first .. first + count, block by block; grad (of plan.backward) is added to."""
    cdef Py_ssize_t done = 0, i, n
    cdef unsigned long long mode = flush_subnormals()
    if plan.backward:
        for i in range(plan.passes):
            clear_sums(plan, &plan.layers[i])
    if plan.chunked:
        for i in range(first, first + count):
            work_in_chunks(plan, seqs, seqs.order[i] if seqs.order != NULL else i, grad)
        done = count
    while done < count:
        n = min(most_in_block(plan), count - done)
        open_block(plan, seqs, first + done, n)
        forward_block(plan, seqs)
        if plan.backward:
            backward_block(plan, seqs, grad)
        done += n
    if plan.backward:
        for i in range(plan.passes):
            finish_gradient(plan, &plan.layers[i], grad)
    restore_subnormals(mode)
