# The sequences of a call, as rows.


cdef class Batch:
    """Sequences to work on: rows of numbers or tokens, and which rows are whose.

    Step t of sequence s has row ``start[s] + t`` of ``x`` (rows, D) or ``tokens`` (rows)
    and of ``mask`` (rows; 0 where a step does not count).  ``start`` and ``length`` (B):
    None where every sequence has ``time`` steps, one after another.  ``order`` (B): in
    which order to put them into blocks.  ``h0`` (B, states, H), of an LSTM (2, B, states, H): h
    before c.
    """

    cdef Sequences seqs
    cdef readonly Py_ssize_t count, time, rows
    cdef Py_ssize_t inputs, state_size    # of x, 0 for tokens; of h0
    cdef tuple arrays                     # what seqs points into

    def __cinit__(
        self, Py_ssize_t count, Py_ssize_t time, cnp.ndarray x, cnp.ndarray tokens,
        cnp.ndarray start=None, cnp.ndarray length=None, cnp.ndarray order=None,
        cnp.ndarray mask=None, cnp.ndarray h0=None,
    ):
        cdef Sequences* seqs = &self.seqs
        cdef Py_ssize_t i
        if count < 1 or time < 1 or (x is None) == (tokens is None):
            raise ValueError("a batch needs sequences, steps, and either x or tokens")
        memset(seqs, 0, sizeof(Sequences))
        self.arrays = (x, tokens, start, length, order, mask, h0)
        seqs.count, seqs.time = self.count, self.time = count, time
        if tokens is not None:
            self.rows = cnp.PyArray_SIZE(tokens)
            seqs.tokens = indices("tokens", tokens, self.rows)
        else:
            self.inputs = max(1, cnp.PyArray_DIM(x, cnp.PyArray_NDIM(x) - 1))
            self.rows = cnp.PyArray_SIZE(x) // self.inputs
            seqs.x = reals("x", x, self.rows * self.inputs)
        if mask is not None:
            seqs.mask = <const unsigned char*>contents("mask", mask, c"u", 1, self.rows)
        if h0 is not None:
            self.state_size = cnp.PyArray_SIZE(h0)
            seqs.h0 = reals("h0", h0, self.state_size)
        if (start is None) != (length is None):
            raise ValueError("start and length go together")
        if start is None:
            expect("rows", self.rows, count * time)
        else:
            seqs.start = indices("start", start, count)
            seqs.length = indices("length", length, count)
            for i in range(count):
                if not (
                    1 <= seqs.length[i] <= time
                    and 0 <= seqs.start[i] <= self.rows - seqs.length[i]
                ):
                    raise ValueError(f"sequence {i}: its rows are not among those given")
        if order is not None:
            seqs.order = indices("order", order, count)
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
    return Batch(shape[0], shape[1], x, None)
