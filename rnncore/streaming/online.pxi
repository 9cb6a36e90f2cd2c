# Online learning: a step forwards, its exact gradient, and an update, without a tape.


@cython.final
cdef class Online(OnlineMemory):
    """Real-time recurrent learning of a network of one layer and one direction, or what comes near
    it.

    Whoever works on it has the network to itself, so it is used by one thread.
    """

    def step(self, const real[::1] x, int64_t token, const real[::1] target, int64_t number):
        """One step by x (D), or by a token where that is None, with its update by a target (so many
        numbers, or K probabilities of classes), or by the number of a class where that is None;
        below 0 there is no target.

        Returns (the loss before the update or 0, faults).  Where the loss is not finite or there
        are faults nothing has changed; so it is where a parameter or the state would not be finite,
        with infinity as the loss."""
        cdef Network* net = &self.net
        cdef bint soft = target is not None and net.loss.classes
        cdef bint counts = target is not None or (net.loss.classes and number >= 0)
        cdef const real* numbers = NULL
        cdef Py_ssize_t k
        cdef int faults = 0
        cdef double loss
        cdef unsigned long long mode
        if x is not None:
            numbers = reals("x", &x[0], x.shape, net.inputs)
            if any_not_finite(numbers, net.inputs):
                return NAN, BAD_INPUT
        elif not 0 <= token < net.inputs:
            return NAN, BAD_TOKEN
        if number >= net.outputs:
            return NAN, BAD_TARGET
        if target is not None:
            k = net.outputs if soft else target_size(net)
            if any_not_finite(reals("target", &target[0], target.shape, k), k):
                return NAN, BAD_TARGET
        self.engine.begin_writing("step")
        if target is None:
            self.target[0] = <real>number
        else:
            for k in range(target.shape[0]):
                self.target[k * LANES] = target[k]
        with nogil:
            mode = flush_subnormals()
            loss = self.advance(numbers, token, counts, soft, &faults)
            restore_subnormals(mode)
        self.engine.end_writing()
        return loss, faults

    cdef double advance(
        self, const real* x, int64_t token, bint counts, bint soft, int* faults,
    ) noexcept nogil:
        """What `step` says, with the target in its place."""
        cdef Optimiser* o = &self.optimiser
        cdef long long updates = o.of[0].updates
        cdef size_t size = self.net.size * sizeof(real)
        cdef double loss = 0
        self.remember()
        if self.net.before:
            loss = self.read_out(&self.now, counts, soft, faults)
        self.move(x, token)
        self.differentiate()
        self.influence(x, token)
        if not self.net.before:
            loss = self.read_out(&self.next, counts, soft, faults)
        if faults[0] or not isfinite(loss):
            return loss
        if not (
            all_finite(self.next.h, self.width // LANES)
            and all_finite(self.next.c, self.width // LANES)
            and all_finite(self.next.influence, self.entries // LANES)
            and all_finite(self.next.direction, self.kinds * self.width // LANES)
        ):
            return INFINITY
        if counts and o.of[0].lr > 0:
            memcpy(o.gradient, self.slopes, size)
            update(o)
            if not all_finite(o.parameters, o.vectors):
                self.take_back(updates)
                return INFINITY
            memcpy(&self.engine.flat[0], o.parameters, size)
        if counts:
            memcpy(self.gradient, self.slopes, size)
        memcpy(self.y, self.logits, self.net.outputs * sizeof(real))
        self.now, self.next = self.next, self.now
        return loss

    cdef void move(self, const real* x, int64_t token) noexcept nogil:
        """h_t and c_t, and what is saved of the step."""
        cdef const Network* net = &self.net
        cdef const Layer* layer = &self.engine.layers[0]
        cdef const real* p = self.optimiser.parameters
        cdef Py_ssize_t P = self.width, H = net.hidden, D = net.inputs, gate, i, row
        cdef real* a = self.next.h if net.cell.plain else self.a
        cdef real of_x, of_h
        memset(a, 0, blocks_of_a(&net.cell) * P * sizeof(real))
        for gate in range(net.gates):
            for i in range(H):
                row = gate * H + i
                of_x = p[layer.bias_ih + row] if net.has_bias else 0
                of_h = p[layer.bias_hh + row] if net.has_bias else 0
                if x == NULL:
                    of_x += p[row * D + token]
                else:
                    of_x = dot(of_x, p + row * D, x, D)
                of_h = dot(of_h, p + layer.weight_hh + row * H, self.now.h, H)
                a[input_block(&net.cell, gate) * P + i] += of_x
                a[state_block(&net.cell, gate) * P + i] += of_h
        net.cell.forward(
            net.nonlinearity, P, a, self.now.h, self.now.c, self.next.c, self.next.h, self.saved
        )

    cdef void differentiate(self) noexcept nogil:
        """The derivatives of every unit's h_t and c_t by what is its own, and of all by h_{t-1}:
        the backward step takes ones for dL/dh_t, or else for dL/dc_t.  W_hh is left out by a method
        for which the other states are given."""
        cdef const Network* net = &self.net
        cdef const real* w = self.optimiser.parameters + self.engine.layers[0].weight_hh
        cdef Py_ssize_t P = self.width, H = net.hidden, kind, gate, i, j
        cdef real* row
        cdef real slope
        for kind in range(self.kinds):
            for i in range(P):
                self.by_h[kind][i], self.by_c[kind][i] = kind == 0, kind == 1
            net.cell.backward(
                P, self.saved, self.by_h[kind], self.by_c[kind], self.by_a[kind]
            )
            for i in range(H):
                row = self.jacobian + (kind * H + i) * H
                memset(row, 0, H * sizeof(real))
                for gate in range(net.gates if self.method != EPROP else 0):
                    slope = self.by_a[kind][state_block(&net.cell, gate) * P + i]
                    for j in range(H):
                        row[j] += slope * w[(gate * H + i) * H + j]
                if net.cell.carries:
                    row[i] += self.by_h[kind][i]

    cdef void influence(self, const real* x, int64_t token) noexcept nogil:
        """From the influence on the state before the step to that on the state after it."""
        cdef const Network* net = &self.net
        cdef const Layer* layer = &self.engine.layers[0]
        cdef Py_ssize_t H = net.hidden, D = net.inputs, kind, gate, i, row
        cdef Py_ssize_t part = self.rows * self.columns, into, apart
        cdef real one = 1
        cdef const real* before = self.now.influence
        cdef const real* before_c = before + part if net.cell.memory else NULL
        if self.method == UORO:
            self.draw()
        for kind in range(self.kinds if self.method != UORO else 0):
            if self.method == RTRL:
                carry_influence(
                    H, self.next.influence + kind * part, self.jacobian + kind * H * H,
                    self.by_c[kind], before, before_c, H, self.columns,
                )
            else:
                carry_own_influence(
                    self.unit, self.next.influence + kind * part, self.jacobian + kind * H * H,
                    self.by_c[kind], before, before_c, H, self.columns,
                )
        for gate in range(net.gates):
            into, apart = input_block(&net.cell, gate), state_block(&net.cell, gate)
            for i in range(H):
                row = gate * H + i
                if x == NULL:
                    self.add(row * D + token, &one, 1, into, i)
                else:
                    self.add(row * D, x, D, into, i)
                self.add(layer.weight_hh + row * H, self.now.h, H, apart, i)
                if net.has_bias:
                    self.add(layer.bias_ih + row, &one, 1, into, i)
                    self.add(layer.bias_hh + row, &one, 1, apart, i)
        if self.method == UORO:
            add_product(
                self.next.direction, self.signs, self.kinds * self.width, before,
                self.next.influence, self.columns,
            )

    cdef void draw(self) noexcept nogil:
        """The direction moved on, and signs, by which the derivatives of all units are summed: in
        the place of those of h_t by what is its own, with no influence yet."""
        cdef Py_ssize_t P = self.width, H = self.net.hidden, kind, block, i
        cdef const real* before = self.now.direction
        cdef real* sums
        self.next.random = self.now.random
        for kind in range(self.kinds):
            push_direction(
                self.next.direction + kind * P, self.jacobian + kind * H * H, self.by_c[kind],
                before, before + P if self.net.cell.memory else NULL, H,
            )
            draw_signs(self.signs + kind * P, H, &self.next.random)
        for block in range(blocks_of_a(&self.net.cell)):
            sums = self.by_a[0] + block * P
            for i in range(H):
                sums[i] *= self.signs[i]
                if self.net.cell.memory:
                    sums[i] += self.signs[P + i] * self.by_a[1][block * P + i]
        memset(self.next.influence, 0, self.entries * sizeof(real))

    cdef void add(
        self, Py_ssize_t first, const real* u, Py_ssize_t n, Py_ssize_t block, Py_ssize_t i,
    ) noexcept nogil:
        """What n parameters, which u is multiplied by, do to a unit's a_t of a block."""
        cdef Py_ssize_t kind, k
        cdef real slope
        cdef real* row
        for kind in range(self.kinds if self.method != UORO else 1):
            slope = self.by_a[kind][block * self.width + i]
            row = self.next.influence + first
            row += (kind * self.rows + (i if self.method == RTRL else 0)) * self.columns
            for k in range(n):
                row[k] += slope * u[k]

    cdef double read_out(
        self, const Moment* at, bint counts, bint soft, int* faults,
    ) noexcept nogil:
        """The logits of a state; where there is a target also its loss, and the gradient into
        slopes."""
        cdef const Network* net = &self.net
        cdef const real* w = self.optimiser.parameters + net.head_weight
        cdef Py_ssize_t H = net.hidden, K = net.outputs, k
        cdef real sums[LANES]
        cdef bint outside = False
        cdef double loss
        memset(self.out, 0, K * LANES * sizeof(real))
        for k in range(K):
            self.logits[k] = at.h[k]
            if net.has_head:
                self.logits[k] = dot(
                    w[K * H + k] if net.has_head_bias else 0, w + k * H, at.h, H
                )
            self.out[k * LANES] = self.logits[k]
        if not counts:
            return 0
        (net.loss.soft if soft else net.loss.evaluate)(
            K, 1, self.out, self.target, self.counted, 1, self.counted, NULL, sums, &outside
        )
        loss = vsum(vload_any(sums))
        if outside:
            faults[0] = BAD_TARGET
        self.go_back(at)
        return loss

    cdef void go_back(self, const Moment* at) noexcept nogil:
        """The gradient from dL/dlogits."""
        cdef const Network* net = &self.net
        cdef const real* w = self.optimiser.parameters + net.head_weight
        cdef Py_ssize_t H = net.hidden, part = self.rows * self.columns, k, j, p
        cdef real dy, along
        memset(self.dh, 0, H * sizeof(real))
        for k in range(net.outputs):
            dy = self.out[k * LANES]
            if not net.has_head:
                self.dh[k] = dy
                continue
            for j in range(H):
                self.dh[j] += dy * w[k * H + j]
                self.slopes[net.head_weight + k * H + j] = dy * at.h[j]
            if net.has_head_bias:
                self.slopes[net.head_bias + k] = dy
        if self.method == RTRL:
            carry_influence(
                1, self.by_column, self.dh, NULL, at.influence, NULL, H, self.columns
            )
        elif self.method == UORO:
            along = dot(0, self.dh, at.direction, H)
            for p in range(part):
                self.by_column[p] = along * at.influence[p]
        else:
            for p in range(part):
                self.by_column[p] = self.dh[self.unit[p]] * at.influence[p]
        memcpy(self.slopes, self.by_column, self.recurrent * sizeof(real))
        if net.has_start:
            memcpy(
                self.slopes + net.h0, self.by_column + self.recurrent,
                self.kinds * H * sizeof(real),
            )
