# The arrays of a call, taken as pointers. A memoryview would cost some 80 ns each, as much
# as a step of a small network; numpy's own view of its arrays costs a few.

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


cdef int expect(str name, Py_ssize_t got, Py_ssize_t wanted) except -1:
    if got != wanted:
        raise ValueError(f"{name}: expected size {wanted}, got {got}")
    return 0


cdef void* contents(
    str name, cnp.ndarray array, char kind, Py_ssize_t item_size, Py_ssize_t size,
) except NULL:
    if array is None or not is_plain_of(array, kind, item_size):
        raise ValueError(f"{name}: expected a C-ordered array of {chr(kind)}{item_size}")
    expect(name, cnp.PyArray_SIZE(array), size)
    return cnp.PyArray_DATA(array)


cdef const real* reals(str name, cnp.ndarray array, Py_ssize_t size) except NULL:
    return <const real*>contents(name, array, c"f", sizeof(real), size)


cdef real* writable(str name, cnp.ndarray array, Py_ssize_t size) except NULL:
    """Reals that the core writes to."""
    if array is not None and not cnp.PyArray_ISWRITEABLE(array):
        raise ValueError(f"{name}: expected an array to write to")
    return <real*>contents(name, array, c"f", sizeof(real), size)


cdef const int64_t* indices(str name, cnp.ndarray array, Py_ssize_t size) except NULL:
    return <const int64_t*>contents(name, array, c"i", sizeof(int64_t), size)


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


cdef dict views_like(dict views, cnp.ndarray flat, cnp.ndarray other):
    """Views into `other`, by the names and in the shapes and places of `views` into `flat`."""
    cdef Py_ssize_t start, size = cnp.PyArray_NBYTES(flat)
    cdef cnp.ndarray view, part
    cdef dict parts = {}
    for name, view in views.items():
        start = cnp.PyArray_BYTES(view) - cnp.PyArray_BYTES(flat)
        reals(name, view, cnp.PyArray_SIZE(view))
        if not 0 <= start <= size - cnp.PyArray_NBYTES(view):
            raise ValueError(f"{name}: expected a view into flat")
        part = cnp.PyArray_SimpleNewFromData(
            cnp.PyArray_NDIM(view), cnp.PyArray_DIMS(view), REAL_NUMBER,
            cnp.PyArray_BYTES(other) + start,
        )
        cnp.set_array_base(part, other)
        parts[name] = part
    return parts
