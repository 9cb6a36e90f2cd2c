# What online learning remembers from step to step, and its memory.

cdef enum:
    RTRL      # the whole influence matrix
    SNAP1     # of every parameter's column the entry of the unit whose own it is
    EPROP     # the same entry, carried by what a unit keeps of its state other than through W_hh
    UORO      # an outer product in the place of the matrix

# By the names that Python has for them.
ONLINE_METHODS = {"rtrl": RTRL, "snap1": SNAP1, "eprop": EPROP, "uoro": UORO}


cdef class OnlineMemory(SteppedUpdates):
    """The state of one stream, the influence of the parameters on it, and room for a step."""

    cdef Network net
    cdef int method
    cdef Arena memory
    cdef Py_ssize_t width      # H padded
    cdef Py_ssize_t recurrent  # parameters of the layer, which come first
    cdef Py_ssize_t columns    # these and the first states that are parameters, padded
    cdef Py_ssize_t rows       # of the influence on h, and on c
    cdef Py_ssize_t entries    # of the influence in all
    cdef Py_ssize_t kinds      # of states: 1, or 2 of a cell with c
    cdef Moment now, next
    cdef int32_t* unit         # (columns) the one that a parameter acts on directly
    cdef real* a               # (blocks of a, P)
    cdef real* saved           # (saved, P)
    cdef real* jacobian        # (kinds, H, H) of h_t and c_t by h_{t-1}
    cdef real* by_a[2]         # (blocks of a, P) of a unit's h_t, and of its c_t, by its own a_t
    cdef real* by_h[2]         # (P) by its h_{t-1} other than through W_hh
    cdef real* by_c[2]         # (P) by its c_{t-1}
    cdef real* signs           # (kinds, P)
    cdef real* out             # (K, LANES) logits, overwritten by dL/dlogits
    cdef real* target          # (targets, LANES)
    cdef real* counted         # (LANES) 1 in the first
    cdef real* dh              # (P) dL/dh
    cdef real* by_column       # (columns)
    cdef real* slopes          # (size) the gradient of the step under way
    cdef real* logits          # (K) and its logits
    cdef real* y               # (K) the logits of the last one
    cdef real* gradient        # (size) and its gradient

    def __cinit__(
        self, Engine engine not None, int method, *, int rule, double momentum, double alpha,
        double beta1, double beta2, double eps, double clip_norm, double clip_value,
        const real[::1] decay, const real[::1] l1, const real[::1] free,
        const int64_t[::1] leader, double rate, uint64_t seed,
    ):
        """method: of ONLINE_METHODS; rate: the learning rate; seed: of its random numbers; the rest
        as for `Trainer`."""
        cdef Network* net = &engine.net
        cdef Py_ssize_t all_columns, tile = INFLUENCE_VECTORS * LANES
        if not net.has_stream or net.layers > 1 or net.skip or net.cell.gate != NULL:
            raise ValueError("engine: expected one layer, one direction, no skip, no gated state")
        if not RTRL <= method <= UORO:
            raise ValueError(f"method: there is no number {method}")
        if net.loss.evaluate == NULL or not net.every_step:
            raise ValueError("engine: expected a loss, and an output at every step")
        self.set_rule(
            engine, rule, momentum, alpha, beta1, beta2, eps, clip_norm, clip_value, decay, l1,
            free, leader, 0, 0,
        )
        self.rate = rate
        self.net, self.method = net[0], method
        self.width, self.kinds = padded(net.hidden), 2 if net.cell.memory else 1
        self.recurrent = net.head_weight
        self.rows = net.hidden if method == RTRL else 1
        all_columns = self.recurrent + (self.kinds * net.hidden if net.has_start else 0)
        self.columns = (all_columns + tile - 1) // tile * tile
        if <double>self.columns * self.rows * self.kinds * sizeof(real) > PY_SSIZE_T_MAX // 4:
            raise MemoryError(f"method: no room for {self.columns} columns of {self.rows} rows")
        self.entries = self.columns * (1 if method == UORO else self.rows * self.kinds)
        self.memory = Arena()
        self.memory.fit(self.lay_out(NULL))
        memset(self.memory.base, 0, self.memory.size)
        self.lay_out(self.memory.base)
        self.counted[0] = 1
        self.now.random = seed
        self.find_units()
        self.begin(None, None)

    cdef size_t lay_out(self, char* base) noexcept:
        cdef Py_ssize_t P = self.width, H = self.net.hidden, kind
        cdef Py_ssize_t blocks = blocks_of_a(&self.net.cell), K = self.net.outputs
        cdef size_t used = 0
        self.lay_out_moment(&self.now, base, &used)
        self.lay_out_moment(&self.next, base, &used)
        for kind in range(self.kinds):
            self.by_a[kind] = carve_reals(base, &used, blocks * P)
            self.by_h[kind] = carve_reals(base, &used, P)
            self.by_c[kind] = carve_reals(base, &used, P)
        self.signs = carve_reals(base, &used, self.kinds * P)
        self.a = carve_reals(base, &used, blocks * P)
        self.saved = carve_reals(base, &used, self.net.cell.saved * P)
        self.jacobian = carve_reals(base, &used, self.kinds * H * H)
        self.out = carve_reals(base, &used, K * LANES)
        self.target = carve_reals(base, &used, K * LANES)
        self.counted = carve_reals(base, &used, LANES)
        self.dh = carve_reals(base, &used, P)
        self.by_column = carve_reals(base, &used, self.columns)
        self.slopes = carve_reals(base, &used, self.net.size)
        self.logits = carve_reals(base, &used, K)
        self.y = carve_reals(base, &used, K)
        self.gradient = carve_reals(base, &used, self.net.size)
        self.unit = <int32_t*>carve(base, &used, self.columns, sizeof(int32_t))
        return used

    cdef void lay_out_moment(self, Moment* moment, char* base, size_t* used) noexcept:
        moment.h = carve_reals(base, used, self.width)
        moment.c = carve_reals(base, used, self.width)
        moment.direction = carve_reals(base, used, self.kinds * self.width)
        moment.influence = carve_reals(base, used, self.entries)

    cdef void find_units(self) noexcept:
        """The unit of each column."""
        cdef const Layer* layer = &self.engine.layers[0]
        cdef Py_ssize_t H = self.net.hidden, p
        for p in range(self.recurrent):
            if p < layer.weight_hh:
                self.unit[p] = <int32_t>(p // self.net.inputs % H)
            elif p < layer.bias_ih:
                self.unit[p] = <int32_t>((p - layer.weight_hh) // H % H)
            else:
                self.unit[p] = <int32_t>((p - layer.bias_ih) % H)
        if self.net.has_start:
            for p in range(self.kinds * H):
                self.unit[self.recurrent + p] = <int32_t>(p % H)

    def begin(self, const real[::1] h, const real[::1] c):
        """Before the first step of a stream: from a state (H) that no parameter has an influence
        on, or from that with which a sequence begins."""
        cdef Py_ssize_t H = self.net.hidden, size = H * sizeof(real), kind, i
        cdef const real* first = &self.engine.flat[0] + self.net.h0
        cdef const real* given[2]
        cdef real* into[2]
        into[0], into[1] = self.now.h, self.now.c
        given[0] = given[1] = NULL
        if h is not None:
            given[0] = reals("h", &h[0], h.shape, H)
            if self.net.cell.memory:
                given[1] = reals("c", &c[0], c.shape, H)
        self.engine.begin_writing("reset")
        memset(self.now.influence, 0, self.entries * sizeof(real))
        memset(self.now.direction, 0, self.kinds * self.width * sizeof(real))
        for kind in range(self.kinds):
            if given[0] != NULL:
                memcpy(into[kind], given[kind], size)
                continue
            memset(into[kind], 0, size)
            if self.net.has_start:
                memcpy(into[kind], first + kind * H, size)
                self.begin_with_ones(kind)
        self.engine.end_writing()

    cdef void begin_with_ones(self, Py_ssize_t kind) noexcept nogil:
        """The influence on h, or on c, of the parameters that are its first state: a matrix of
        ones in the diagonal, or an outer product with that mean."""
        cdef Py_ssize_t H = self.net.hidden, i
        cdef real* own = self.now.influence + self.recurrent + kind * H
        cdef real* direction = self.now.direction + kind * self.width
        if self.method == UORO:
            draw_signs(direction, H, &self.now.random)
            memcpy(own, direction, H * sizeof(real))
            return
        own += kind * self.rows * self.columns
        for i in range(H):
            own[(i * self.columns if self.method == RTRL else 0) + i] = 1

    def present(self):
        """(h (H), c (H) or None, influence (rows, columns), and of an outer product its other
        factor (kinds, P), else None)"""
        cdef Py_ssize_t H = self.net.hidden
        h, c, direction = new_reals(1, H, 0), None, None
        influence = new_reals(2, self.entries // self.columns, self.columns)
        self.engine.begin_writing("state")
        memcpy(data_of(h), self.now.h, H * sizeof(real))
        if self.net.cell.memory:
            c = new_reals(1, H, 0)
            memcpy(data_of(c), self.now.c, H * sizeof(real))
        memcpy(data_of(influence), self.now.influence, self.entries * sizeof(real))
        if self.method == UORO:
            direction = new_reals(2, self.kinds, self.width)
            memcpy(data_of(direction), self.now.direction, cnp.PyArray_NBYTES(direction))
        self.engine.end_writing()
        return h, c, influence, direction

    def place(
        self, const real[::1] h not None, const real[::1] c, const real[:, ::1] influence not None,
        const real[:, ::1] direction, uint64_t random,
    ):
        """Go on from what `present` returned, with these random numbers to come."""
        cdef Py_ssize_t rows = self.entries // self.columns
        reals("influence", &influence[0, 0], influence.shape, rows, self.columns)
        if self.method == UORO:
            if direction is None:
                raise ValueError("direction: expected an array, got None")
            reals("direction", &direction[0, 0], direction.shape, self.kinds, self.width)
        self.begin(h, c)
        self.engine.begin_writing("load_state_dict")
        memcpy(self.now.influence, &influence[0, 0], self.entries * sizeof(real))
        if self.method == UORO:
            memcpy(
                self.now.direction, &direction[0, 0], self.kinds * self.width * sizeof(real)
            )
        self.now.random = random
        self.engine.end_writing()

    @property
    def random(self):
        """The random numbers to come."""
        return self.now.random

    def last(self):
        """(logits (K) of the last step, gradients by name of the last one with a target)"""
        cdef cnp.ndarray y = new_reals(1, self.net.outputs, 0)
        cdef cnp.ndarray gradient = new_reals(1, self.net.size, 0)
        self.engine.begin_writing("gradient")
        memcpy(data_of(y), self.y, self.net.outputs * sizeof(real))
        memcpy(data_of(gradient), self.gradient, self.net.size * sizeof(real))
        self.engine.end_writing()
        return y, views_like(self.engine.views, self.engine.flat, gradient)
