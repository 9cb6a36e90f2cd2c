# The arrays of a call, taken as typed memoryviews: the signatures of the entry points say how many
# axes they have, of what type they are and whether they are written to, and Cython checks that.
# What is left to check is how long the axes are, and that the numbers are aligned, which the buffer
# protocol does not say. (A memoryview is not passed on as such: that copies 200 bytes.)


cdef int expect(str name, Py_ssize_t got, Py_ssize_t wanted) except -1:
    if got != wanted:
        raise ValueError(f"{name}: expected size {wanted}, got {got}")
    return 0


cdef int expect_shape(
    str name, const void* data, size_t item, const Py_ssize_t* shape, const Py_ssize_t* wanted,
) except -1:
    """An aligned array of the wanted shape, which ends with a negative number."""
    cdef Py_ssize_t i = 0
    if data == NULL:
        raise ValueError(f"{name}: expected an array, got None")
    if <size_t>data % item:
        raise ValueError(f"{name}: expected an aligned array")
    while wanted[i] >= 0:
        if shape[i] != wanted[i]:
            raise ValueError(f"{name}: expected size {wanted[i]} along axis {i}, got {shape[i]}")
        i += 1
    return 0


cdef real* reals(
    str name, const real* data, const Py_ssize_t* shape, Py_ssize_t first, Py_ssize_t second=-1,
) except NULL:
    """Not const, for arrays that are written to as well: the type of the memoryview is checked."""
    expect_shape(name, data, sizeof(real), shape, [first, second, -1])
    return <real*>data


cdef real* states(
    str name, const real* data, const Py_ssize_t* shape, Py_ssize_t count, const Network* net,
) except NULL:
    """h or c of so many sequences, (B, states, H)."""
    expect_shape(name, data, sizeof(real), shape, [count, state_rows(net), net.hidden, -1])
    return <real*>data


cdef const int64_t* indices(
    str name, const int64_t* data, const Py_ssize_t* shape, Py_ssize_t size,
) except NULL:
    expect_shape(name, data, sizeof(int64_t), shape, [size, -1])
    return data


cdef const unsigned char* flags(
    str name, const unsigned char* data, const Py_ssize_t* shape, Py_ssize_t size,
) except NULL:
    expect_shape(name, data, 1, shape, [size, -1])
    return data
