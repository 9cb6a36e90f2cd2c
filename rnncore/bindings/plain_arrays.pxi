# Arrays by numpy's C API, for the calls that tiny networks make: `step`, `run` and the plain calls.
#
# A typed memoryview costs some 80 ns for every array that is passed, as much as a step of a small
# network. numpy's own view of its arrays costs a few, and so does a new array.

cnp.import_array()

cdef int REAL_NUMBER = cnp.NPY_FLOAT32 if sizeof(real) == 4 else cnp.NPY_FLOAT64


cdef bint is_plain_of(cnp.ndarray array, char kind, Py_ssize_t item_size) noexcept:
    """Whether it is C-ordered, aligned, in the machine's byte order, and of that type."""
    return (
        cnp.PyArray_ISCARRAY_RO(array)
        and array.descr.kind == kind
        and cnp.PyArray_ITEMSIZE(array) == item_size
    )


cdef bint is_plain(values) noexcept:
    """Whether the core can work on them as they are: an array of its precision, C-ordered."""
    return cnp.PyArray_CheckExact(values) and is_plain_of(values, c"f", sizeof(real))


cdef bint is_shaped(cnp.ndarray array, int ndim, Py_ssize_t first, Py_ssize_t second) noexcept:
    return (
        cnp.PyArray_NDIM(array) == ndim
        and cnp.PyArray_DIM(array, 0) == first
        and (ndim == 1 or cnp.PyArray_DIM(array, 1) == second)
    )


cdef bint is_either_real(cnp.ndarray array) noexcept:
    return is_plain_of(array, c"f", sizeof(float)) or is_plain_of(array, c"f", sizeof(double))


cdef bint overlap(cnp.ndarray a, cnp.ndarray b) noexcept:
    return (
        cnp.PyArray_BYTES(a) < cnp.PyArray_BYTES(b) + cnp.PyArray_NBYTES(b)
        and cnp.PyArray_BYTES(b) < cnp.PyArray_BYTES(a) + cnp.PyArray_NBYTES(a)
    )


cdef cnp.ndarray new_array(int ndim, cnp.npy_intp* shape):
    cdef cnp.ndarray result = cnp.PyArray_SimpleNew(ndim, shape, REAL_NUMBER)
    poison(cnp.PyArray_DATA(result), cnp.PyArray_NBYTES(result))
    return result


cdef cnp.ndarray new_reals(int ndim, Py_ssize_t first, Py_ssize_t second):
    return new_array(ndim, [first, second])


cdef inline real* data_of(array) noexcept:
    return <real*>cnp.PyArray_DATA(array) if array is not None else NULL


def as_plain(values):
    """Values as the core can work on them: plain ones as they are, a copy of an array of
    integers or booleans.  None for anything that has to be looked at more closely."""
    cdef char kind
    if not cnp.PyArray_CheckExact(values):
        return None
    if is_plain(values):
        return values
    kind = (<cnp.ndarray>values).descr.kind
    if kind != c"b" and kind != c"i" and kind != c"u":
        return None
    return cnp.PyArray_FROMANY(
        values, REAL_NUMBER, 0, 0, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_FORCECAST
    )


cdef dict views_like(dict views, const real[::1] flat, cnp.ndarray other):
    """Views into `other`, by the names and in the shapes and places of `views` into `flat`."""
    cdef Py_ssize_t start, size = flat.shape[0] * sizeof(real)
    cdef cnp.ndarray view, part
    cdef dict parts = {}
    for name, view in views.items():
        start = cnp.PyArray_BYTES(view) - <char*>&flat[0]
        if not is_plain(view) or not 0 <= start <= size - cnp.PyArray_NBYTES(view):
            raise ValueError(f"{name}: expected a view into flat")
        part = cnp.PyArray_SimpleNewFromData(
            cnp.PyArray_NDIM(view), cnp.PyArray_DIMS(view), REAL_NUMBER,
            cnp.PyArray_BYTES(other) + start,
        )
        cnp.set_array_base(part, other)
        parts[name] = part
    return parts


# States, of so many sequences; of a single stream `count` is 0, and its arrays have no such axis.

cdef struct State:
    real* h                    # (states, H), of many streams (n, states, H); NULL: as one begins
    real* c                    # (layers, H) or (n, layers, H), of an LSTM


cdef bint is_part(part, Py_ssize_t count, const Network* net):
    """Whether it is h or c as the core takes it: rows of H."""
    cdef Py_ssize_t rows = state_rows(net)
    if not is_plain(part):
        return False
    if count == 0:
        return is_shaped(part, 2, rows, net.hidden)
    return (
        cnp.PyArray_NDIM(part) == 3 and cnp.PyArray_DIM(part, 0) == count
        and cnp.PyArray_DIM(part, 1) == rows and cnp.PyArray_DIM(part, 2) == net.hidden
    )


cdef bint is_state(state, Py_ssize_t count, const Network* net):
    """Whether it is a state as the core takes it, of an LSTM a pair."""
    if not net.cell.memory:
        return is_part(state, count, net)
    return (
        type(state) is tuple and len(state) == 2
        and is_part(state[0], count, net) and is_part(state[1], count, net)
    )


cdef State state_of(state):
    """Its numbers; none of None."""
    cdef State result
    result.h = result.c = NULL
    if type(state) is tuple:
        result.h, result.c = data_of(state[0]), data_of(state[1])
    elif state is not None:
        result.h = data_of(state)
    return result


cdef cnp.ndarray new_part(Py_ssize_t count, const Network* net):
    cdef cnp.npy_intp[3] shape = [count, state_rows(net), net.hidden]
    if count == 0:
        return cnp.PyArray_SimpleNew(2, shape + 1, REAL_NUMBER)
    return cnp.PyArray_SimpleNew(3, shape, REAL_NUMBER)


cdef object new_state(Py_ssize_t count, const Network* net):
    if not net.cell.memory:
        return new_part(count, net)
    return new_part(count, net), new_part(count, net)
