# One hidden unit: h and its weight stay in registers while the loop over time runs.
#
# Sums are formed in the order of `affine`, so these loops and those for any number of
# units give the same bits.  Weights are packed as vectors, whether or not the lanes share them.


cdef inline void scalar_steps(
    int f, int vectors, bint saving, const Plan* plan, const Layer* layer, real* u, real* slope,
    Py_ssize_t n,
) noexcept nogil:
    """n steps from the slot of the tape at u on; their slopes too where `saving`."""
    cdef vreal h[MANY]
    cdef vreal a[MANY]
    cdef vreal s[MANY]
    cdef vreal w, bias = vload(layer.step_bias)
    cdef vreal w_h = vload(layer.step_weight + layer.input_rows * LANES)
    cdef Py_ssize_t t, d, lanes = vectors * LANES
    cdef real* x = u
    cdef int v
    for v in range(vectors):
        h[v] = vload(u + layer.input_rows * lanes + v * LANES)
    for t in range(n):
        u += layer.rows * lanes
        for v in range(vectors):
            a[v] = vload(u + v * LANES) if layer.tokens else bias
        for d in range(layer.input_rows):
            w = vload(layer.step_weight + d * LANES)
            for v in range(vectors):
                a[v] = vfma(w, vload(x + d * lanes + v * LANES), a[v])
        for v in range(vectors):
            a[v] = vfma(w_h, h[v], a[v])
        nonlinear(f, vectors, a, h, s)
        for v in range(vectors):
            vstore(u + layer.input_rows * lanes + v * LANES, h[v])
            if saving:
                vstore(slope + t * lanes + v * LANES, s[v])
        x = u


cdef inline void scalar_steps_of(
    int f, const Plan* plan, const Layer* layer, real* u, real* slope, Py_ssize_t n,
) noexcept nogil:
    # With these known, the compiler keeps the lanes in registers and forms no slope in vain.
    if plan.backward:
        if plan.vectors == 1:
            scalar_steps(f, 1, True, plan, layer, u, slope, n)
        elif plan.vectors == 2:
            scalar_steps(f, 2, True, plan, layer, u, slope, n)
        else:
            scalar_steps(f, 4, True, plan, layer, u, slope, n)
    elif plan.vectors == 1:
        scalar_steps(f, 1, False, plan, layer, u, slope, n)
    elif plan.vectors == 2:
        scalar_steps(f, 2, False, plan, layer, u, slope, n)
    else:
        scalar_steps(f, 4, False, plan, layer, u, slope, n)


cdef void scalar_forward(
    const Plan* plan, const Layer* layer, real* u, real* slope, Py_ssize_t n,
) noexcept nogil:
    """n steps at which every lane counts, from the slot of the tape at u on."""
    if plan.net.nonlinearity == TANH:
        scalar_steps_of(TANH, plan, layer, u, slope, n)
    elif plan.net.nonlinearity == RELU:
        scalar_steps_of(RELU, plan, layer, u, slope, n)
    elif plan.net.nonlinearity == SIGMOID:
        scalar_steps_of(SIGMOID, plan, layer, u, slope, n)
    else:
        scalar_steps_of(IDENTITY, plan, layer, u, slope, n)


cdef inline void scalar_steps_back(
    int vectors, const Plan* plan, const Layer* layer, const real* slope, Py_ssize_t n,
) noexcept nogil:
    cdef vreal dh[4]
    cdef vreal a, w_h = vload(layer.back_weight), zero = vset1(0)
    cdef Py_ssize_t t, lanes = vectors * LANES
    cdef int v
    for v in range(vectors):
        dh[v] = vload(layer.dh + v * LANES)
    for t in range(n - 1, -1, -1):
        for v in range(vectors):
            a = vmul(vload(slope + t * lanes + v * LANES), dh[v])
            vstore(plan.block.da + t * lanes + v * LANES, a)
            dh[v] = vfma(w_h, a, zero)
    for v in range(vectors):
        vstore(layer.dh + v * LANES, dh[v])


cdef void scalar_backward(
    const Plan* plan, const Layer* layer, const real* slope, Py_ssize_t n,
) noexcept nogil:
    """The first n steps of `steps_back`, at which every lane counts and nothing is read out:
    a linear recurrence, dL/dh_{t-1} = w_hh f'(a_t) dL/dh_t."""
    if plan.vectors == 1:
        scalar_steps_back(1, plan, layer, slope, n)
    elif plan.vectors == 2:
        scalar_steps_back(2, plan, layer, slope, n)
    else:
        scalar_steps_back(4, plan, layer, slope, n)


cdef inline void scalar_sums(
    int vectors, int inputs, const Plan* plan, const Layer* layer, real* grad, const real* u,
    Py_ssize_t n,
) noexcept nogil:
    cdef vreal sums[24]
    cdef vreal da
    cdef const real* a = plan.block.da
    cdef Py_ssize_t _t
    cdef int d, v, terms = inputs + 2  # x_t, h_{t-1} and, for the bias, 1
    for v in range(vectors * terms):
        sums[v] = vset1(0)
    for _t in range(n):
        for v in range(vectors):
            da = vload(a + v * LANES)
            for d in range(inputs + 1):
                sums[v * terms + d] = vfma(
                    da, vload(u + (d * vectors + v) * LANES), sums[v * terms + d]
                )
            sums[v * terms + inputs + 1] = vadd(sums[v * terms + inputs + 1], da)
        a += vectors * LANES
        u += layer.rows * vectors * LANES
    for v in range(1, vectors):
        for d in range(terms):
            sums[d] = vadd(sums[d], sums[v * terms + d])
    for d in range(inputs):
        add_sum(plan.weights.given, grad, layer.weight_ih + d, sums[d])
    add_sum(plan.weights.given, grad, layer.weight_hh, sums[inputs])
    if plan.net.has_bias:
        add_sum(plan.weights.given, layer.grad_bias, 0, sums[inputs + 1])


cdef inline void scalar_sums_of(
    int inputs, const Plan* plan, const Layer* layer, real* grad, const real* u, Py_ssize_t n,
) noexcept nogil:
    if plan.vectors == 1:
        scalar_sums(1, inputs, plan, layer, grad, u, n)
    elif plan.vectors == 2:
        scalar_sums(2, inputs, plan, layer, grad, u, n)
    else:
        scalar_sums(4, inputs, plan, layer, grad, u, n)


cdef void scalar_gradient(
    const Plan* plan, const Layer* layer, real* grad, const real* u, Py_ssize_t n,
) noexcept nogil:
    """`step_gradient` for one unit and up to four inputs: every sum in a register."""
    if layer.input_rows == 0:
        scalar_sums_of(0, plan, layer, grad, u, n)
    elif layer.input_rows == 1:
        scalar_sums_of(1, plan, layer, grad, u, n)
    elif layer.input_rows == 2:
        scalar_sums_of(2, plan, layer, grad, u, n)
    elif layer.input_rows == 3:
        scalar_sums_of(3, plan, layer, grad, u, n)
    else:
        scalar_sums_of(4, plan, layer, grad, u, n)
