# How fast this machine is at what the core is made of, for rnncore._bench.limits.

cdef enum:
    PROBE_SUMS = 12           # enough in flight to hide the latency of a multiply-add
    PROBE_REALS = 512         # a buffer that stays in the first-level cache


cdef double probe_fma(Py_ssize_t n, real* memory) noexcept nogil:
    """Multiply-adds on operands in registers; each sum depends on nothing but itself."""
    cdef vreal sums[PROBE_SUMS]
    cdef vreal half = vset1(memory[0]), one = vset1(memory[1])
    cdef Py_ssize_t _
    cdef int i
    for i in range(PROBE_SUMS):
        sums[i] = vset1(<real>i)
    for _ in range(n):
        for i in range(PROBE_SUMS):
            sums[i] = vfma(sums[i], half, one)
    for i in range(PROBE_SUMS):
        memory[2 + i] = vsum(sums[i])
    return 2. * n * PROBE_SUMS * LANES


cdef double probe_tanh(Py_ssize_t n, real* memory) noexcept nogil:
    """tanh and its slope, as a forward pass computes them, from cache to cache."""
    cdef Py_ssize_t _, i
    cdef vreal x[MANY]
    cdef vreal y[MANY]
    cdef vreal slope[MANY]
    cdef real* a
    cdef int v
    for _ in range(n):
        for i in range(PROBE_REALS // (4 * LANES)):
            a = memory + i * 4 * LANES
            for v in range(4):
                x[v] = vload_any(a + v * LANES)
            vtanhs(4, x, y, slope)
            for v in range(4):
                vstore_any(a + PROBE_REALS + v * LANES, y[v])
                vstore_any(a + 2 * PROBE_REALS + v * LANES, slope[v])
    return <double>n * PROBE_REALS


cdef double probe_chain(Py_ssize_t n, real* memory) noexcept nogil:
    """h = tanh(w h + x): every step waits for the one before."""
    cdef vreal a, slope, h = vset1(0), w = vset1(memory[0])
    cdef Py_ssize_t t
    for t in range(n):
        a = vfma(w, h, vset1(memory[t % PROBE_REALS]))
        vtanhs(1, &a, &h, &slope)
    memory[PROBE_REALS] = vsum(h)
    return <double>n


cdef double probe_stream(Py_ssize_t n, real* memory, Py_ssize_t size) noexcept nogil:
    """All of the memory read from one end to the other, n times."""
    cdef vreal sums[PROBE_SUMS]
    cdef Py_ssize_t _, k, step = PROBE_SUMS * LANES, blocks = size // step
    cdef int i
    for i in range(PROBE_SUMS):
        sums[i] = vset1(0)
    for _ in range(n):
        for k in range(blocks):
            for i in range(PROBE_SUMS):
                sums[i] = vadd(sums[i], vload_any(memory + k * step + i * LANES))
    for i in range(PROBE_SUMS):
        memory[i] = vsum(sums[i])
    return <double>n * blocks * step * sizeof(real)


def probe(str name not None, Py_ssize_t n, real[::1] memory not None):
    """Do one kind of work n times over, without the GIL, and return how much it was.

    "fma": flops; "tanh": elements; "chain": steps of h = tanh(w h + x); "stream": bytes of
    `memory` read.  Operands come from `memory` and results go there, so that no compiler
    can leave the work out.
    """
    cdef double work
    cdef int which
    names = ["fma", "tanh", "chain", "stream"]
    if name not in names:
        raise ValueError(f"name: expected one of {', '.join(names)}, got {name!r}")
    if memory.shape[0] < 3 * PROBE_REALS:
        raise ValueError(f"memory: expected {3 * PROBE_REALS} or more, got {memory.shape[0]}")
    which = names.index(name)
    with nogil:
        if which == 0:
            work = probe_fma(n, &memory[0])
        elif which == 1:
            work = probe_tanh(n, &memory[0])
        elif which == 2:
            work = probe_chain(n, &memory[0])
        else:
            work = probe_stream(n, &memory[0], memory.shape[0])
    return work
