"""Integers that several threads share; see atomics.h."""

from libc.stdint cimport int32_t, int64_t

cdef extern from "platform/atomics.h" nogil:
    ctypedef int64_t shared_int
    int64_t shared_read(const shared_int* a)
    void shared_write(shared_int* a, int64_t v)
    void shared_add(shared_int* a, int64_t v)
    bint shared_swap(shared_int* a, int64_t old, int64_t new)  # where *a is old: new, and true
    int32_t forks                            # between the process that loaded the module and this
    void watch_forks()                       # once, when the module is loaded
    int64_t users_of(int64_t count)          # how many threads of this process it counts
    int64_t count_of(int64_t users)          # that many threads of this process
    void look_again(int64_t looks)                           # after so many looks in vain
