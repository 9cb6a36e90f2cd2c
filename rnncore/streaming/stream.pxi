# Sequences step by step, with units in lanes.

@cython.final
cdef class Units(PackedUnits):
    """The steps of single sequences: many of one, or one of many.

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
        self, const real* x, const int64_t* tokens, const State* state, Py_ssize_t streams,
        Py_ssize_t n,
    ) noexcept nogil:
        """What is wrong with n rows of input, or the states of so many streams."""
        cdef Py_ssize_t t, size = streams * state_rows(&self.net) * self.net.hidden
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
        if self.faults(x, tokens, state, 1, n):
            return 1
        mode = flush_subnormals()
        for i in range(self.net.layers):
            self.begin(i, state)
        while n > 0:
            part = min(n, self.chunk)
            for i in range(self.net.layers):
                self.enter(i, x, tokens, part)
                self.recur(&self.layers[i], part)
            self.read_out(self.layers[self.net.layers - 1].h, y, part)
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
        for k in range(s):
            start_from(self.layers[i].h - k * padded(H), self.earlier(i, state, 0, k), H)
        if self.net.cell.memory:
            start_from(self.layers[i].c, self.memory_before(i, state, 0), H)

    cdef const real* earlier(
        self, Py_ssize_t i, const State* state, Py_ssize_t stream, Py_ssize_t k,
    ) noexcept nogil:
        """Where a layer's h_{t-1-k} of a stream is before its step; NULL: zeros."""
        cdef Py_ssize_t s = history(&self.net)
        if state.h != NULL:
            return state.h + (stream * state_rows(&self.net) + i * s + k) * self.net.hidden
        if self.net.has_start and k == 0:
            return self.rest_copy - self.n_inputs + self.shape[i].h0
        return NULL

    cdef const real* memory_before(
        self, Py_ssize_t i, const State* state, Py_ssize_t stream,
    ) noexcept nogil:
        """The same of c_{t-1}."""
        if state.c != NULL:
            return state.c + (stream * self.net.layers + i) * self.net.hidden
        if self.net.has_start:
            return self.rest_copy - self.n_inputs + self.shape[i].c0
        return NULL

    cdef void end(self, Py_ssize_t i, const State* final) noexcept nogil:
        cdef Py_ssize_t H = self.net.hidden, s = history(&self.net), k
        for k in range(s):
            memcpy(
                final.h + (i * s + k) * H, self.layers[i].h - k * padded(H), H * sizeof(real)
            )
        if final.c != NULL:
            memcpy(final.c + i * H, self.layers[i].c, H * sizeof(real))

    cdef void keep(self, UnitsLayer* layer, Py_ssize_t n) noexcept nogil:
        """After n steps: the last states to where the next chunk's first step reads them."""
        cdef Py_ssize_t P = padded(self.net.hidden), old = history(&self.net) - 1
        memmove(layer.h - old * P, layer.h + (n - old) * P, (old + 1) * P * sizeof(real))

    cdef void enter(
        self, Py_ssize_t i, const real* x, const int64_t* tokens, Py_ssize_t n,
    ) noexcept nogil:
        """W_ih x_t + b_ih + b_hh of n steps of a layer to where a_t is formed: of an Elman cell
        in the place of h_t."""
        cdef UnitsLayer* layer = &self.layers[i]
        cdef Py_ssize_t H = self.net.hidden, P = padded(H), D = self.net.inputs
        cdef Py_ssize_t n_out = H if self.net.cell.plain else self.net.gates * P
        cdef real* a = layer.h + P if self.net.cell.plain else self.a
        if i > 0:
            product(
                a, self.width, n_out, layer.input_weight, layer.bias, self.layers[i - 1].h + P,
                P, H, n, False,
            )
        elif tokens == NULL:
            product(a, self.width, n_out, layer.input_weight, layer.bias, x, D, D, n, False)
        else:
            look_up_units(
                &self.net, a, self.width, layer.bias, self.flat, tokens, n
            )
            return
        fill_apart(&self.net, a, self.width, layer.bias, n)

    cdef void recur(self, const UnitsLayer* layer, Py_ssize_t n) noexcept nogil:
        """The loop over time: from W_ih x_t + b_ih + b_hh to h_t."""
        cdef Py_ssize_t width = padded(self.net.hidden), _t
        cdef real* h = layer.h
        if zones_out(&self.net):
            self.recur_zoned(layer, n)
            return
        if not self.net.skip:
            recur_units(
                &self.net, layer.state_weight, n, h, width, self.a,
                0 if self.net.cell.plain else self.width, layer.c, 0, NULL, 0,
            )
            return
        for _t in range(n):
            self.skip_step(layer, h)
            h += width

    cdef inline void skip_step(self, const UnitsLayer* layer, real* h) noexcept nogil:
        """From h_{t-1}, and h_{t-s} before it, to h_t after it, with a skip connection."""
        cdef Py_ssize_t H = self.net.hidden, P = padded(H)
        cdef const real* b = layer.bias
        product(h + P, P, H, layer.state_weight, b, h, P, H, 1, True)
        product(
            h + P, P, H, layer.skip_weight, b, h - (self.net.skip - 1) * P, P, H, 1, True,
        )
        elman_units(self.net.nonlinearity, P // LANES, h + P, NULL)

    cdef void recur_zoned(self, const UnitsLayer* layer, Py_ssize_t n) noexcept nogil:
        """The same, where a share of every state stays as it was."""
        cdef Py_ssize_t P = padded(self.net.hidden), _t
        cdef real* h = layer.h
        cdef real* a = self.a
        for _t in range(n):
            if self.net.cell.memory:
                memcpy(self.old_c, layer.c, P * sizeof(real))
            if self.net.skip:
                self.skip_step(layer, h)
            else:
                recur_units(
                    &self.net, layer.state_weight, 1, h, P, a, 0, layer.c, 0, NULL, 0,
                )
            mix_evenly(h + P, h, self.net.zoneout, P)
            if self.net.cell.memory:
                mix_evenly(layer.c, self.old_c, self.net.zoneout_c, P)
            h += P
            if not self.net.cell.plain:
                a += self.width

    cdef void read_out(self, const real* before, real* y, Py_ssize_t n) noexcept nogil:
        """y_t = W_y h_t + b_y for n steps, or from the states before them; the states themselves
        where there is no head."""
        cdef Py_ssize_t H = padded(self.net.hidden), K = self.net.outputs, width = padded(K), t, k
        cdef const real* rows = self.layers[self.net.layers - 1].h + H
        if self.net.before:
            rows = before
        if self.net.has_head:
            product(
                self.out, width, K, self.head_weight, self.head_bias, rows, H, self.net.hidden, n,
                False,
            )
            rows = self.out
        for t in range(n):
            for k in range(K):
                y[t * K + k] = rows[t * width + k]

    # ---- many streams, one step of each ---------------------------------------------
    #
    # They take the places of one stream's steps: what goes into a step, and the read-out, is the
    # same; only h_{t-1} is not in the row before.

    cdef int advance_all(
        self, const real* x, const int64_t* tokens, const State* state, Py_ssize_t n,
        real* y, const State* final,
    ) noexcept nogil:
        """One step of each of n streams: y (n, K), and the states into `final`, which is either
        where `state` is or apart from it.  Returns the faults met; then nothing is written."""
        cdef Py_ssize_t first = 0, part, i
        cdef unsigned long long mode
        if self.faults(x, tokens, state, n, n):
            return 1
        mode = flush_subnormals()
        while first < n:
            part = min(n - first, self.chunk)
            for i in range(self.net.layers):
                self.gather(i, state, first, part)
                self.enter(i, x, tokens, part)
                self.recur_all(&self.layers[i], part)
                self.scatter(i, state, first, part, final)
            self.read_out(self.last_h, y, part)
            if tokens == NULL:
                x += part * self.net.inputs
            else:
                tokens += part
            y += part * self.net.outputs
            first += part
        restore_subnormals(mode)
        return 0

    cdef void gather(
        self, Py_ssize_t i, const State* state, Py_ssize_t first, Py_ssize_t n,
    ) noexcept nogil:
        """What a layer's step of the streams first .. first + n needs of their states."""
        cdef Py_ssize_t H = self.net.hidden, P = padded(H), k
        for k in range(n):
            start_from(self.last_h + k * P, self.earlier(i, state, first + k, 0), H)
            if self.net.cell.memory:
                start_from(self.last_c + k * P, self.memory_before(i, state, first + k), H)
            if self.net.skip:
                start_from(
                    self.skip_h + k * P, self.earlier(i, state, first + k, self.net.skip - 1), H
                )

    cdef void recur_all(self, const UnitsLayer* layer, Py_ssize_t n) noexcept nogil:
        """From W_ih x_t + b_ih + b_hh to h_t of n streams, and in the place of c_{t-1} to c_t."""
        cdef Py_ssize_t H = self.net.hidden, P = padded(H), k
        cdef const real* w = layer.state_weight
        cdef const real* b = layer.bias
        cdef real* h = layer.h + P
        cdef real* a = self.a
        cdef real* c = self.last_c
        if not self.net.cell.plain:
            add_recurrent(&self.net, w, self.last_h, P, a, self.width, NULL, n)
            if self.net.zoneout_c > 0:
                memcpy(self.old_c, c, n * P * sizeof(real))
            for k in range(n):
                self.net.cell.forward(
                    self.net.nonlinearity, P, a + k * self.width, self.last_h + k * P, c + k * P,
                    c + k * P, h + k * P, NULL,
                )
        else:
            product(h, P, H, w, b, self.last_h, P, H, n, True)
            if self.net.skip:
                product(h, P, H, layer.skip_weight, b, self.skip_h, P, H, n, True)
            elman_units(self.net.nonlinearity, n * P // LANES, h, NULL)
        if self.net.zoneout > 0:
            mix_evenly(h, self.last_h, self.net.zoneout, n * P)
        if self.net.zoneout_c > 0:
            mix_evenly(c, self.old_c, self.net.zoneout_c, n * P)

    cdef void scatter(
        self, Py_ssize_t i, const State* state, Py_ssize_t first, Py_ssize_t n,
        const State* final,
    ) noexcept nogil:
        """A layer's states after the step, the latest first."""
        cdef Py_ssize_t H = self.net.hidden, P = padded(H), s = history(&self.net), k, back
        cdef real* h
        for k in range(n):
            h = final.h + ((first + k) * state_rows(&self.net) + i * s) * H
            for back in range(s - 1, 0, -1):
                start_from(h + back * H, self.earlier(i, state, first + k, back - 1), H)
            memcpy(h, self.layers[i].h + (1 + k) * P, H * sizeof(real))
            if final.c != NULL:
                memcpy(
                    final.c + ((first + k) * self.net.layers + i) * H, self.last_c + k * P,
                    H * sizeof(real),
                )
