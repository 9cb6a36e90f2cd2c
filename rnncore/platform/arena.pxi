# Memory for a call.

cdef enum:
    KEEP_BYTES = 1 << 28      # the largest arena a network holds on to between calls


cdef class Arena:
    """Aligned memory for one call, kept for the next one: fresh memory costs a page fault
    every 4096 bytes. Not kept where it is large, see `KEEP_BYTES`."""

    cdef void* block
    cdef char* base
    cdef size_t size

    def __dealloc__(self):
        free(self.block)

    cdef int fit(self, size_t size) except -1:
        if size > self.size:
            free(self.block)
            self.size = 0
            self.block = aligned_block(size, &self.base)
            if self.block == NULL:
                raise MemoryError(f"x: {size:.3g} bytes for the tape of this call")
            self.size = size
        poison(self.base, size)
        return 0
