# One sequence, step by step, with units in lanes.

cdef enum:
    STREAM_BYTES = 16384       # of states worked on at a time: half of a first-level cache
    WORTH_RELEASING = 200_000  # multiply-adds for which the GIL is released: some 20 us


cdef bint any_not_finite(const real* numbers, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int bad = 0
    for i in range(n):
        bad |= numbers[i] - numbers[i] != 0
    return bad != 0


cdef struct State:
    real* h                    # (H); NULL: zeros
    real* c                    # (H), of an LSTM


cdef inline void start_from(real* row, const real* given, Py_ssize_t n) noexcept nogil:
    if given != NULL:
        memcpy(row, given, n * sizeof(real))
    else:
        memset(row, 0, n * sizeof(real))


cdef void product(
    real* out, Py_ssize_t n_out, const real* w, const real* bias,
    const real* u, Py_ssize_t u_step, Py_ssize_t n_in, Py_ssize_t n, bint onto,
) noexcept nogil:
    """`affine_units`, once in the machine code: it is many tiles."""
    affine_units(out, n_out, w, bias, u, u_step, n_in, n, onto)


cdef inline void narrow_step(
    int vectors, const Network* net, const real* w, real* h,
) noexcept nogil:
    """From h_{t-1} to h_t in the row after it, where all units are in a few registers."""
    cdef Py_ssize_t width = vectors * LANES
    units_tile(1, vectors, True, h + width, width, w, NULL, h, width, net.hidden)
    elman_units(net.nonlinearity, vectors, h + width, NULL)


cdef bint changed(
    Engine engine, Py_ssize_t version, const real* copy, const real* now, Py_ssize_t n,
) noexcept:
    """Whether parameters are no longer those of `copy`, made of that version."""
    if version != engine.version:
        return True
    return engine.exposed and memcmp(copy, now, n * sizeof(real)) != 0


@cython.final
cdef class Units:
    """A network's weights packed with units in lanes, and room to work in.

    Whoever works on it has borrowed it from the `Stream`, so it is used by one thread.
    """

    cdef Network net
    cdef const real* flat      # the parameters, which may change at any time
    cdef Arena inputs, rest
    cdef Py_ssize_t inputs_version, rest_version    # of the engine when they were packed
    cdef real* inputs_copy     # what of `flat` was packed
    cdef real* rest_copy
    cdef real* input_weight    # (D, a) W_ih
    cdef real* x               # (D) one step of another precision
    cdef real* state_weight    # (gates H, H) W_hh
    cdef real* head_weight     # (H, K) W_y
    cdef real* bias            # (a)
    cdef real* head_bias       # (K)
    cdef real* h               # (chunk + 1, H) h_{t-1} and the states that follow it
    cdef real* c               # (H) of an LSTM
    cdef real* a               # (chunk, a) of a gated cell: its products, a block for each gate
    cdef Py_ssize_t width      # of a: H padded, four times for a gated cell
    cdef real* out             # (chunk, K)
    cdef Py_ssize_t chunk      # steps worked on at a time

    def __cinit__(self, Engine engine not None):
        self.net = engine.net
        self.flat = &engine.flat[0]
        self.inputs, self.rest = Arena(), Arena()
        self.inputs_version = self.rest_version = -1
        self.width = padded(self.net.hidden) * (1 if self.net.cell == ELMAN else 4)
        self.chunk = STREAM_BYTES // (self.width * <Py_ssize_t>sizeof(real))
        self.chunk = max(8, min(64, self.chunk))

    cdef size_t lay_out_inputs(self, char* base) noexcept:
        cdef size_t used = 0
        self.inputs_copy = carve(base, &used, self.net.weight_hh)
        self.input_weight = carve(base, &used, self.net.inputs * self.width)
        self.x = carve(base, &used, self.net.inputs)
        return used

    cdef size_t lay_out_rest(self, char* base) noexcept:
        cdef Py_ssize_t H = padded(self.net.hidden), K = padded(self.net.outputs)
        cdef Py_ssize_t head = K if self.net.has_head else 0
        cdef size_t used = 0
        self.rest_copy = carve(base, &used, self.net.size - self.net.weight_hh)
        self.state_weight = carve(base, &used, self.net.hidden * self.width)
        self.bias = carve(base, &used, self.width)
        self.head_weight = carve(base, &used, self.net.hidden * head)
        self.head_bias = carve(base, &used, head)
        self.h = carve(base, &used, (self.chunk + 1) * H)
        self.c = carve(base, &used, H)
        self.a = carve(base, &used, self.chunk * self.width if self.net.cell != ELMAN else 0)
        self.out = carve(base, &used, self.chunk * head)
        return used

    cdef int refresh(self, Engine engine, bint tokens) except -1:
        """Pack again what has changed. Tokens read their columns of W_ih where they are."""
        cdef Network* net = &self.net
        cdef const real* inputs = self.flat
        cdef const real* rest = self.flat + net.weight_hh
        cdef Py_ssize_t n_inputs = net.weight_hh, n_rest = net.size - net.weight_hh
        if not tokens and changed(engine, self.inputs_version, self.inputs_copy, inputs, n_inputs):
            self.inputs.fit(self.lay_out_inputs(NULL))
            self.lay_out_inputs(self.inputs.base)
            memcpy(self.inputs_copy, inputs, n_inputs * sizeof(real))
            self.pack_gates(self.input_weight, self.inputs_copy, net.inputs, 0, input_block)
            self.inputs_version = engine.version
        if changed(engine, self.rest_version, self.rest_copy, rest, n_rest):
            self.rest.fit(self.lay_out_rest(NULL))
            self.lay_out_rest(self.rest.base)
            memcpy(self.rest_copy, rest, n_rest * sizeof(real))
            self.pack_rest(self.rest_copy - net.weight_hh)
            self.rest_version = engine.version
        return 0

    cdef int pack_gates(
        self, real* packed, const real* matrix, Py_ssize_t n_in, Py_ssize_t first,
        Py_ssize_t (*block)(Cell, Py_ssize_t) noexcept nogil,
    ) except -1:
        """Pack a matrix (gates H, n_in) for `product`, the rows of each gate as a block of
        their own from block `first` on."""
        cdef Network* net = &self.net
        cdef Py_ssize_t H = net.hidden, gate, blocks = self.width // padded(H) - first
        cdef Arena room = Arena()
        cdef real* rows
        if net.cell == ELMAN:
            pack_units(packed, matrix, H, n_in)
            return 0
        room.fit(blocks * padded(H) * n_in * sizeof(real))
        memset(room.base, 0, blocks * padded(H) * n_in * sizeof(real))
        for gate in range(net.gates):
            rows = <real*>room.base + (block(net.cell, gate) - first) * padded(H) * n_in
            memcpy(rows, matrix + gate * H * n_in, H * n_in * sizeof(real))
        pack_units(packed, <real*>room.base, blocks * padded(H), n_in)
        return 0

    cdef int pack_rest(self, const real* p) except -1:
        cdef Network* net = &self.net
        cdef Py_ssize_t i, k, gate, H = net.hidden, K = net.outputs
        self.pack_gates(self.state_weight, p + net.weight_hh, H, net.cell == GRU, state_block)
        memset(self.bias, 0, self.width * sizeof(real))
        for gate in range(net.gates if net.has_bias else 0):
            for i in range(H):
                k = input_block(net.cell, gate) * padded(H) + i
                self.bias[k] = p[net.bias_ih + gate * H + i]
                if input_block(net.cell, gate) != state_block(net.cell, gate):
                    k = state_block(net.cell, gate) * padded(H) + i
                self.bias[k] += p[net.bias_hh + gate * H + i]
        memset(self.h, 0, (self.chunk + 1) * padded(H) * sizeof(real))
        memset(self.c, 0, padded(H) * sizeof(real))
        if not net.has_head:
            return 0
        pack_units(self.head_weight, p + net.head_weight, K, H)
        for i in range(padded(K)):
            self.head_bias[i] = p[net.head_bias + i] if net.has_bias and i < K else 0
        return 0

    cdef const real* as_reals(self, cnp.ndarray x_t) noexcept:
        """One step in this core's precision; what overflows it becomes infinite."""
        cdef Py_ssize_t i
        if cnp.PyArray_ITEMSIZE(x_t) == sizeof(real):
            return <const real*>cnp.PyArray_DATA(x_t)
        for i in range(self.net.inputs):
            if sizeof(real) == sizeof(float):
                self.x[i] = <real>(<const double*>cnp.PyArray_DATA(x_t))[i]
            else:
                self.x[i] = (<const float*>cnp.PyArray_DATA(x_t))[i]
        return self.x

    cdef int faults(
        self, const real* x, const int64_t* tokens, const State* state, Py_ssize_t n,
    ) noexcept nogil:
        cdef Py_ssize_t t
        if state.h != NULL and any_not_finite(state.h, self.net.hidden):
            return BAD_INPUT
        if state.c != NULL and any_not_finite(state.c, self.net.hidden):
            return BAD_INPUT
        if tokens == NULL:
            return BAD_INPUT if any_not_finite(x, n * self.net.inputs) else 0
        for t in range(n):
            if not 0 <= tokens[t] < self.net.inputs:
                return BAD_TOKEN
        return 0

    cdef int advance(
        self, const real* x, const int64_t* tokens, const State* state, Py_ssize_t n,
        real* y, const State* final,
    ) noexcept nogil:
        """n steps from `state`: y (n, K), and the last state into `final`, once all else has
        been read.  Returns the faults met; then nothing is written."""
        cdef Py_ssize_t H = self.net.hidden, D = self.net.inputs, K = self.net.outputs, part
        cdef unsigned long long mode
        # Where a_t is formed: of an Elman cell in the place of h_t.
        cdef real* a = self.h + padded(H) if self.net.cell == ELMAN else self.a
        cdef Py_ssize_t n_out = H if self.net.cell == ELMAN else self.width
        if self.faults(x, tokens, state, n):
            return 1
        mode = flush_subnormals()
        start_from(self.h, state.h, H)
        start_from(self.c, state.c, H)
        while n > 0:
            part = min(n, self.chunk)
            if tokens == NULL:
                product(a, n_out, self.input_weight, self.bias, x, D, D, part, False)
                x += part * D
            else:
                self.look_up(a, tokens, part)
                tokens += part
            self.recur(part)
            self.read_out(y, part)
            y += part * K
            memcpy(self.h, self.h + part * padded(H), H * sizeof(real))
            n -= part
        memcpy(final.h, self.h, H * sizeof(real))
        if final.c != NULL:
            memcpy(final.c, self.c, H * sizeof(real))
        restore_subnormals(mode)
        return 0

    cdef void look_up(self, real* a, const int64_t* tokens, Py_ssize_t n) noexcept nogil:
        """b_ih + b_hh + W_ih onehot(x_t), for n steps"""
        cdef Py_ssize_t t, gate, i, block, H = self.net.hidden
        cdef const real* column
        cdef int64_t token
        for t in range(n):
            token = tokens[t]
            if not 0 <= token < self.net.inputs:   # changed by somebody since it was checked
                token = 0
            memcpy(a, self.bias, self.width * sizeof(real))
            for gate in range(self.net.gates):
                column = self.flat + self.net.weight_ih + gate * H * self.net.inputs + token
                block = input_block(self.net.cell, gate) * padded(H)
                for i in range(H):
                    a[block + i] += column[i * self.net.inputs]
            a += self.width

    cdef void recur(self, Py_ssize_t n) noexcept nogil:
        """The loop over time: from W_ih x_t + b_ih + b_hh to h_t."""
        cdef Py_ssize_t H = self.net.hidden, width = padded(H), vectors = width // LANES, _t
        cdef const real* w = self.state_weight
        cdef real* h = self.h
        cdef real* a = self.a
        for _t in range(n):
            if self.net.cell == LSTM:
                product(a, 4 * width, w, self.bias, h, width, H, 1, True)
                lstm_gates(width, a, self.c, self.c, h + width, NULL)
            elif self.net.cell == GRU:
                product(a + width, 3 * width, w, self.bias, h, width, H, 1, True)
                gru_gates(width, a, h, h + width, NULL)
            elif vectors == 1:
                narrow_step(1, &self.net, w, h)
            elif vectors == 2:
                narrow_step(2, &self.net, w, h)
            elif vectors == 4:
                narrow_step(4, &self.net, w, h)
            else:
                product(h + width, H, w, self.bias, h, width, H, 1, True)
                elman_units(self.net.nonlinearity, vectors, h + width, NULL)
            h += width
            a += self.width

    cdef void read_out(self, real* y, Py_ssize_t n) noexcept nogil:
        """y_t = W_y h_t + b_y for n steps; h_t itself where there is no head."""
        cdef Py_ssize_t H = padded(self.net.hidden), K = self.net.outputs, width = padded(K), t, k
        cdef const real* rows = self.h + H
        if self.net.has_head:
            product(
                self.out, K, self.head_weight, self.head_bias, rows, H, self.net.hidden, n, False
            )
            rows = self.out
        for t in range(n):
            for k in range(K):
                y[t * K + k] = rows[t * width + k]


cdef bint is_state(state, const Network* net):
    """Whether it is a state as the core takes it: (1, H), or of an LSTM a pair of these."""
    if net.cell != LSTM:
        return is_plain(state) and is_shaped(state, 2, 1, net.hidden)
    return (
        type(state) is tuple and len(state) == 2
        and is_plain(state[0]) and is_shaped(state[0], 2, 1, net.hidden)
        and is_plain(state[1]) and is_shaped(state[1], 2, 1, net.hidden)
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


cdef object new_state(const Network* net):
    if net.cell != LSTM:
        return new_reals(2, 1, net.hidden)
    return new_reals(2, 1, net.hidden), new_reals(2, 1, net.hidden)


cdef bint are_results(out, int ndim, Py_ssize_t first, Py_ssize_t second, const Network* net):
    """Whether `out` is an array to write y of that shape, and a state to write into."""
    cdef Py_ssize_t i, j
    cdef list arrays
    if type(out) is not tuple or len(out) != 2 or not is_state(out[1], net):
        return False
    if not is_plain(out[0]) or not is_shaped(out[0], ndim, first, second):
        return False
    arrays = [out[0], *out[1]] if net.cell == LSTM else [out[0], out[1]]
    for i in range(len(arrays)):
        if not cnp.PyArray_ISWRITEABLE(arrays[i]):
            return False
        for j in range(i):
            if overlap(arrays[i], arrays[j]):
                return False
    return True


@cython.final
cdef class Stream:
    """Single sequences, step by step.

    Both calls return None, having done nothing, where anything has to be looked at more
    closely: arrays that are not plain, shapes that do not fit, numbers that are not finite.
    """

    cdef Engine engine
    cdef Units units

    def __cinit__(self, Engine engine not None):
        self.engine = engine

    def step(self, x_t, state, out):
        """(y (K), state (1, H)) after one step from `state`, into the arrays of `out` if it
        is given.  x_t: (D) numbers of either precision, or a token."""
        cdef Network* net = &self.engine.net
        cdef Units units
        cdef int64_t token = 0
        cdef int too_large = 0     # the token is then -1
        cdef bint tokens = False, bad
        cdef tuple results
        cdef State first, final
        cdef real* y
        if cnp.PyArray_CheckExact(x_t):
            if not is_shaped(x_t, 1, net.inputs, 0) or not is_either_real(x_t):
                return None
        elif type(x_t) is int or isinstance(x_t, cnp.integer):
            tokens = True
            token = PyLong_AsLongLongAndOverflow(PyNumber_Index(x_t), &too_large)
        else:
            return None
        if state is not None and not is_state(state, net):
            return None
        if out is None:
            results = (new_reals(1, net.outputs, 0), new_state(net))
        elif are_results(out, 1, net.outputs, 0, net):
            results = out
        else:
            return None
        units = self.borrow(tokens)
        first, y, final = state_of(state), data_of(results[0]), state_of(results[1])
        if tokens:
            bad = units.advance(NULL, &token, &first, 1, y, &final)
        else:
            bad = units.advance(units.as_reals(x_t), NULL, &first, 1, y, &final)
        self.engine.end_reading()
        self.units = units
        return None if bad else results

    def run(self, x, state, out):
        """(y (T, K), state (1, H)) after the T steps of x (T, D), or of tokens x (T)."""
        cdef Network* net = &self.engine.net
        cdef Units units
        cdef bint tokens = False, bad
        cdef Py_ssize_t steps
        cdef tuple results
        cdef const real* numbers = NULL
        cdef const int64_t* indices = NULL
        cdef State first, final
        cdef real* y
        if not cnp.PyArray_CheckExact(x) or cnp.PyArray_NDIM(x) < 1 or cnp.PyArray_DIM(x, 0) < 1:
            return None
        steps = cnp.PyArray_DIM(x, 0)
        if is_plain(x) and is_shaped(x, 2, steps, net.inputs):
            numbers = data_of(x)
        elif is_plain_of(x, c"i", sizeof(int64_t)) and is_shaped(x, 1, steps, 0):
            indices = <const int64_t*>cnp.PyArray_DATA(x)
        else:
            return None
        if state is not None and not is_state(state, net):
            return None
        if out is None:
            results = (new_reals(2, steps, net.outputs), new_state(net))
        elif are_results(out, 2, steps, net.outputs, net) and not overlap(x, out[0]):
            results = out
        else:
            return None
        units = self.borrow(numbers == NULL)
        first, y, final = state_of(state), data_of(results[0]), state_of(results[1])
        if <double>steps * net.hidden * (net.hidden + net.inputs) < WORTH_RELEASING:
            bad = units.advance(numbers, indices, &first, steps, y, &final)
            self.engine.end_reading()
        else:
            with nogil:
                bad = units.advance(numbers, indices, &first, steps, y, &final)
                self.engine.end_reading()
        self.units = units
        return None if bad else results

    cdef Units borrow(self, bint tokens):
        """The packed weights, for oneself: a second thread makes its own.  The caller ends
        the reading."""
        cdef Units units = self.units
        self.units = None
        if units is None:
            units = Units(self.engine)
        self.engine.begin_reading()
        try:
            units.refresh(self.engine, tokens)
        except MemoryError:
            self.engine.end_reading()
            raise
        return units
