# The sequences of a call, as rows.


cdef class Batch:
    """Sequences to work on: rows of numbers or tokens, and which rows are whose.

    Step t of sequence s has row ``start[s] + t`` of ``x`` (rows, D) or ``tokens`` (rows)
    and of ``mask`` (rows; 0 where a step does not count).  ``start`` and ``length`` (B):
    None where every sequence has ``time`` steps, one after another.  ``order`` (B): in
    which order to put them into blocks.  ``h0``, and ``c0`` of an LSTM: (B, states, H).
    """

    cdef Sequences seqs
    cdef readonly Py_ssize_t count, time, rows
    # What seqs points into.
    cdef const real[:, ::1] x
    cdef const int64_t[::1] tokens, start, length, order
    cdef const unsigned char[::1] mask
    cdef const real[:, :, ::1] h0, c0

    def __cinit__(
        self, Py_ssize_t count, Py_ssize_t time, const real[:, ::1] x, const int64_t[::1] tokens,
        const int64_t[::1] start=None, const int64_t[::1] length=None,
        const int64_t[::1] order=None, const unsigned char[::1] mask=None,
        const real[:, :, ::1] h0=None, const real[:, :, ::1] c0=None,
    ):
        cdef Sequences* seqs = &self.seqs
        cdef Py_ssize_t i
        if count < 1 or time < 1 or (x is None) == (tokens is None):
            raise ValueError("a batch needs sequences, steps, and either x or tokens")
        memset(seqs, 0, sizeof(Sequences))
        self.x, self.tokens, self.start, self.length = x, tokens, start, length
        self.order, self.mask, self.h0, self.c0 = order, mask, h0, c0
        seqs.count, seqs.time = self.count, self.time = count, time
        if tokens is not None:
            self.rows = tokens.shape[0]
            seqs.tokens = indices("tokens", &tokens[0], tokens.shape, self.rows)
        else:
            self.rows = x.shape[0]
            seqs.x = reals("x", &x[0, 0], x.shape, self.rows, x.shape[1])
        if mask is not None:
            seqs.mask = flags("mask", &mask[0], mask.shape, self.rows)
        if (start is None) != (length is None):
            raise ValueError("start and length go together")
        if start is None:
            expect("rows", self.rows, count * time)
        else:
            seqs.start = indices("start", &start[0], start.shape, count)
            seqs.length = indices("length", &length[0], length.shape, count)
            for i in range(count):
                if not (
                    1 <= seqs.length[i] <= time
                    and 0 <= seqs.start[i] <= self.rows - seqs.length[i]
                ):
                    raise ValueError(f"sequence {i}: its rows are not among those given")
        if order is not None:
            seqs.order = indices("order", &order[0], order.shape, count)
            for i in range(count):
                if not 0 <= seqs.order[i] < count:
                    raise ValueError(f"order: no sequence {seqs.order[i]}")


def plain_batch(x, Py_ssize_t inputs):
    """The batch of a (batch, time, inputs) array that needs no conversion; None for anything
    else."""
    cdef cnp.npy_intp* shape
    if not is_plain(x) or cnp.PyArray_NDIM(x) != 3:
        return None
    shape = cnp.PyArray_DIMS(x)
    if shape[0] < 1 or shape[1] < 1 or shape[2] != inputs:
        return None
    return Batch(shape[0], shape[1], x.reshape(-1, inputs), None)
