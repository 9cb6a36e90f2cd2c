"""Integers that several threads share; see atomics.h."""

from libc.stdint cimport int64_t

cdef extern from "atomics.h" nogil:
    ctypedef int64_t shared_int
    int64_t shared_read(const shared_int* a)
    void shared_write(shared_int* a, int64_t v)
    void shared_add(shared_int* a, int64_t v)
    bint shared_swap(shared_int* a, int64_t old, int64_t new)  # where *a is old: new, and true
    void look_again(int64_t looks)                           # after so many looks in vain
