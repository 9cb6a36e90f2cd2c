# Products of the Hessian of a loss and a vector, without the Hessian.
#
# The derivative of the gradient along the vector: every number of a call is a dual one (see
# duals/simd/duals.h), through the steps forward and back, so what comes out is exact. The loops are
# those of any call.


def hvp(
    Engine engine not None, Batch batch not None, const real[:, ::1] target,
    const int64_t[::1] classes, const real[:, ::1] weight, const real[::1] v not None, *,
    threads=1, bint mean=True, bint gauss_newton=False,
):
    """(the Hessian of the mean or the sum of the losses, times v (size); the loss; faults).  With
    gauss_newton the Hessian is J^T H J, J the Jacobian of the outputs and H the Hessian of the loss
    as a function of them."""
    cdef Plan plan
    cdef Sequences seqs
    cdef Py_ssize_t size = engine.net.size
    cdef double count = 1
    cdef cnp.ndarray pair = new_array(1, [2 * size])
    cdef cnp.ndarray product = cnp.PyArray_ZEROS(1, [size], REAL_NUMBER, 0)
    if sizeof(real) != 8:
        raise TypeError("hvp: expected the core of float64")
    reals("v", &v[0], v.shape, size)
    engine.take_batch(&seqs, batch)
    engine.set_targets(&seqs, batch, target, classes, weight)
    if mean:
        count = count_targets(&engine.net, &seqs, 0, seqs.count)
    engine.prepare(
        &plan, &seqs, seqs.count, True, False, 0, False, 0, 0, 0, 1, 0, False, True
    )
    plan.gauss_newton = gauss_newton
    set_lanes(plan.job.scale, 1 / count if count else 0)
    memset(plan.job.scale + LANES, 0, LANES * sizeof(real))    # it does not change
    engine.begin_reading()
    memcpy(data_of(pair), &engine.flat[0], size * sizeof(real))
    engine.end_reading()
    memcpy(data_of(pair) + size, &v[0], size * sizeof(real))
    plan.parameters = data_of(pair)
    engine.run(&plan, &seqs, data_of(product), threads)
    return product, plan.result.loss / count if count else float("nan"), plan.result.faults
