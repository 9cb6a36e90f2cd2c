# The core's own functions, for tests of their accuracy and for what Python reads of outputs.

cdef list FUNCTIONS = [
    "exp", "log", "log1p", "tanh", "logistic", "gate", "dtanh", "dlogistic", "dgate",
]


def evaluate(str name not None, cnp.ndarray x not None, cnp.ndarray out not None):
    """One of the core's own functions, element by element: "exp", "log" (x >= 1), "log1p"
    (0 <= x <= 1), "tanh", "logistic", "gate", and the slopes "dtanh", "dlogistic" and "dgate"."""
    cdef Py_ssize_t i = 0, j, n = cnp.PyArray_SIZE(x)
    cdef const real* source = data_of(x)
    cdef real* target = data_of(out)
    cdef real chunk[MAX_LANES]
    cdef vreal a, y, slope
    cdef int which = FUNCTIONS.index(name)
    if not is_plain(x) or not is_plain(out) or not cnp.PyArray_ISWRITEABLE(out):
        raise ValueError(f"{name}: expected two C-ordered arrays of the core's type")
    expect("out", cnp.PyArray_SIZE(out), n)
    with nogil:
        while i < n:
            for j in range(LANES):
                chunk[j] = source[min(i + j, n - 1)]
            a = vload_any(chunk)
            if which == 0:
                y = vexp(a)
            elif which == 1:
                y = vlog(a)
            elif which == 2:
                y = vlog1p_unit(a)
            elif which == 3 or which == 6:
                vtanhs(1, &a, &y, &slope)
            elif which == 4 or which == 7:
                y = vlogistic(a, &slope)
            else:
                vgates(1, &a, &y, &slope)
            vstore_any(chunk, slope if which >= 6 else y)
            for j in range(min(LANES, n - i)):
                target[i + j] = chunk[j]
            i += LANES
