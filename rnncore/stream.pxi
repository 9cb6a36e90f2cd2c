# One sequence, step by step, with units in lanes.

cdef enum:
    WORTH_RELEASING = 200_000  # multiply-adds for which the GIL is released: some 20 us


cdef bint any_not_finite(const real* numbers, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef int bad = 0
    for i in range(n):
        bad |= numbers[i] - numbers[i] != 0
    return bad != 0


cdef struct State:
    real* h                    # (states, H); NULL: as a network begins
    real* c                    # (layers, H), of an LSTM


cdef inline void start_from(real* row, const real* given, Py_ssize_t n) noexcept nogil:
    """A row of a state; NULL: zeros."""
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


@cython.final
cdef class Units(PackedUnits):
    """The steps of single sequences.

    Whoever works on it has borrowed it from the `Stream`, so it is used by one thread.
    """

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
        cdef Py_ssize_t t, size = state_rows(&self.net) * self.net.hidden
        if state.h != NULL and any_not_finite(state.h, size):
            return BAD_INPUT
        if state.c != NULL and any_not_finite(state.c, size):
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
        cdef Py_ssize_t part, i
        cdef unsigned long long mode
        if self.faults(x, tokens, state, n):
            return 1
        mode = flush_subnormals()
        for i in range(self.net.layers):
            self.begin(i, state)
        while n > 0:
            part = min(n, self.chunk)
            for i in range(self.net.layers):
                self.enter(i, x, tokens, part)
                self.recur(&self.layers[i], part)
            self.read_out(y, part)
            if tokens == NULL:
                x += part * self.net.inputs
            else:
                tokens += part
            y += part * self.net.outputs
            for i in range(self.net.layers):
                self.keep(&self.layers[i], part)
            n -= part
        for i in range(self.net.layers):
            self.end(i, final)
        restore_subnormals(mode)
        return 0

    cdef void begin(self, Py_ssize_t i, const State* state) noexcept nogil:
        """The states before a layer's first step: given, or parameters, or zeros."""
        cdef Py_ssize_t H = self.net.hidden, s = history(&self.net), k
        cdef const Layer* shape = &self.shape[i]
        cdef const real* start = NULL
        cdef const real* start_c = NULL
        if state.h != NULL:
            for k in range(s):
                start_from(self.layers[i].h - k * padded(H), state.h + (i * s + k) * H, H)
            if state.c != NULL:
                start_from(self.layers[i].c, state.c + i * H, H)
            return
        if self.net.has_start:
            start = self.rest_copy - self.n_inputs + shape.h0
            start_c = self.rest_copy - self.n_inputs + shape.c0
        start_from(self.layers[i].h, start, H)
        if self.net.cell == LSTM:
            start_from(self.layers[i].c, start_c, H)
        for k in range(1, s):
            start_from(self.layers[i].h - k * padded(H), NULL, H)

    cdef void end(self, Py_ssize_t i, const State* final) noexcept nogil:
        cdef Py_ssize_t H = self.net.hidden, s = history(&self.net), k
        for k in range(s):
            memcpy(
                final.h + (i * s + k) * H, self.layers[i].h - k * padded(H), H * sizeof(real)
            )
        if final.c != NULL:
            memcpy(final.c + i * H, self.layers[i].c, H * sizeof(real))

    cdef void keep(self, UnitsLayer* layer, Py_ssize_t n) noexcept nogil:
        """After n steps: the last states to where the next ones look for them."""
        cdef Py_ssize_t P = padded(self.net.hidden), old = history(&self.net) - 1
        memmove(layer.h - old * P, layer.h + (n - old) * P, (old + 1) * P * sizeof(real))

    cdef void enter(
        self, Py_ssize_t i, const real* x, const int64_t* tokens, Py_ssize_t n,
    ) noexcept nogil:
        """W_ih x_t + b_ih + b_hh of n steps of a layer to where a_t is formed: of an Elman cell
        in the place of h_t."""
        cdef UnitsLayer* layer = &self.layers[i]
        cdef Py_ssize_t H = self.net.hidden, P = padded(H), D = self.net.inputs
        cdef Py_ssize_t n_out = H if self.net.cell == ELMAN else self.width
        cdef real* a = layer.h + P if self.net.cell == ELMAN else self.a
        if i > 0:
            product(
                a, n_out, layer.input_weight, layer.bias, self.layers[i - 1].h + P, P, H, n, False
            )
        elif tokens == NULL:
            product(a, n_out, layer.input_weight, layer.bias, x, D, D, n, False)
        else:
            self.look_up(a, tokens, n)

    cdef void look_up(self, real* a, const int64_t* tokens, Py_ssize_t n) noexcept nogil:
        """b_ih + b_hh + W_ih onehot(x_t), for n steps"""
        cdef Py_ssize_t t, gate, i, block, H = self.net.hidden
        cdef const real* column
        cdef int64_t token
        for t in range(n):
            token = tokens[t]
            if not 0 <= token < self.net.inputs:   # changed by somebody since it was checked
                token = 0
            memcpy(a, self.layers[0].bias, self.width * sizeof(real))
            for gate in range(self.net.gates):
                column = self.flat + gate * H * self.net.inputs + token
                block = input_block(self.net.cell, gate) * padded(H)
                for i in range(H):
                    a[block + i] += column[i * self.net.inputs]
            a += self.width

    cdef void recur(self, const UnitsLayer* layer, Py_ssize_t n) noexcept nogil:
        """The loop over time: from W_ih x_t + b_ih + b_hh to h_t."""
        cdef Py_ssize_t H = self.net.hidden, width = padded(H), vectors = width // LANES, _t
        cdef const real* w = layer.state_weight
        cdef const real* b = layer.bias
        cdef real* h = layer.h
        cdef real* a = self.a
        for _t in range(n):
            if self.net.cell == LSTM:
                product(a, 4 * width, w, b, h, width, H, 1, True)
                lstm_gates(width, a, layer.c, layer.c, h + width, NULL)
            elif self.net.cell == GRU:
                product(a + width, 3 * width, w, b, h, width, H, 1, True)
                gru_gates(width, a, h, h + width, NULL)
            elif self.net.skip:
                product(h + width, H, w, b, h, width, H, 1, True)
                product(
                    h + width, H, layer.skip_weight, b, h - (self.net.skip - 1) * width, width, H,
                    1, True,
                )
                elman_units(self.net.nonlinearity, vectors, h + width, NULL)
            elif vectors == 1:
                narrow_step(1, &self.net, w, h)
            elif vectors == 2:
                narrow_step(2, &self.net, w, h)
            elif vectors == 4:
                narrow_step(4, &self.net, w, h)
            else:
                product(h + width, H, w, b, h, width, H, 1, True)
                elman_units(self.net.nonlinearity, vectors, h + width, NULL)
            h += width
            a += self.width

    cdef void read_out(self, real* y, Py_ssize_t n) noexcept nogil:
        """y_t = W_y h_t + b_y for n steps; h_t itself where there is no head."""
        cdef Py_ssize_t H = padded(self.net.hidden), K = self.net.outputs, width = padded(K), t, k
        cdef const real* rows = self.layers[self.net.layers - 1].h + H
        if self.net.has_head:
            product(
                self.out, K, self.head_weight, self.head_bias, rows, H, self.net.hidden, n, False
            )
            rows = self.out
        for t in range(n):
            for k in range(K):
                y[t * K + k] = rows[t * width + k]


cdef bint is_state(state, const Network* net):
    """Whether it is a state as the core takes it: rows of H, or of an LSTM a pair of these."""
    cdef Py_ssize_t rows = state_rows(net)
    if net.cell != LSTM:
        return is_plain(state) and is_shaped(state, 2, rows, net.hidden)
    return (
        type(state) is tuple and len(state) == 2
        and is_plain(state[0]) and is_shaped(state[0], 2, rows, net.hidden)
        and is_plain(state[1]) and is_shaped(state[1], 2, rows, net.hidden)
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
    cdef Py_ssize_t rows = state_rows(net)
    if net.cell != LSTM:
        return new_reals(2, rows, net.hidden)
    return new_reals(2, rows, net.hidden), new_reals(2, rows, net.hidden)


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
    cdef Units units           # None while a call uses them

    def __cinit__(self, Engine engine not None):
        self.engine = engine

    def step(self, x_t, state, out):
        """(y (K), state (states, H)) after one step from `state`, into the arrays of `out` if it
        is given.  x_t: (D) numbers of either precision, or a token."""
        cdef Network* net = &self.engine.net
        cdef Units units
        cdef int64_t token = 0
        cdef int too_large = 0     # the token is then -1
        cdef bint tokens = False, bad
        cdef tuple results
        cdef State first, final
        cdef real* y
        if net.directions == 2:    # it would have to know the steps to come
            return None
        if cnp.PyArray_CheckExact(x_t):
            if not is_shaped(x_t, 1, net.inputs, 0) or not is_either_real(x_t):
                return None
        elif type(x_t) is int or (
            isinstance(x_t, cnp.integer) and not cnp.is_timedelta64_object(x_t)
        ):
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
        self.swap_units(units)
        return None if bad else results

    def run(self, x, state, out):
        """(y (T, K), state (states, H)) after the T steps of x (T, D), or of tokens x (T)."""
        cdef Network* net = &self.engine.net
        cdef Units units
        cdef bint tokens = False, bad
        cdef Py_ssize_t steps
        cdef tuple results
        cdef const real* numbers = NULL
        cdef const int64_t* indices = NULL
        cdef State first, final
        cdef real* y
        if net.directions == 2:
            return None
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
        if <double>steps * net.hidden * net.layers * (net.hidden + net.inputs) < WORTH_RELEASING:
            bad = units.advance(numbers, indices, &first, steps, y, &final)
            self.engine.end_reading()
        else:
            with nogil:
                bad = units.advance(numbers, indices, &first, steps, y, &final)
                self.engine.end_reading()
        self.swap_units(units)
        return None if bad else results

    cdef Units borrow(self, bint tokens):
        """The packed weights, for oneself: a second thread makes its own.  The caller ends
        the reading."""
        cdef Units units = self.swap_units(None)
        if units is None:
            units = Units(self.engine)
        self.engine.begin_reading()
        try:
            units.refresh(self.engine, tokens)
        except MemoryError:
            self.engine.end_reading()
            raise
        return units

    cdef inline Units swap_units(self, Units units):
        """Take the packed weights and leave others, or None, as one act."""
        cdef Units taken
        with cython.critical_section(self):
            taken, self.units = self.units, units
        return taken
