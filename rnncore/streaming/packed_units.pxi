# Weights with units in lanes, kept from call to call.

cdef enum:
    STREAM_BYTES = 16384       # of states worked on at a time: half of a first-level cache


cdef struct UnitsLayer:
    real* input_weight         # (inputs, a) W_ih
    real* state_weight         # (gates H, H) W_hh
    real* skip_weight          # (H, H) W_skip
    real* bias                 # (a)
    # (chunk + 1, H) h_{t-1} and the states that follow it; before it, with a skip connection,
    # those before.
    real* h
    real* c                    # (H) of a cell that has it


cdef class PackedUnits:
    """A network's weights packed with units in lanes, and scratch memory."""

    cdef Network net
    cdef const Layer* shape    # (layers) where their parameters are
    cdef const real* flat      # the parameters, which may change at any time
    cdef Arena inputs, rest, room
    cdef Py_ssize_t inputs_version, rest_version    # of the engine when they were packed
    cdef Py_ssize_t n_inputs   # parameters of the first layer's W_ih, which come first
    cdef real* inputs_copy     # what of `flat` was packed
    cdef real* rest_copy
    cdef UnitsLayer* layers
    cdef real* x               # (D) one step of another precision
    cdef real* head_weight     # (H, K) W_y
    cdef real* head_bias       # (K)
    cdef real* a               # (chunk, a) of a gated cell: its products, a block for each gate
    cdef Py_ssize_t width      # of a: H padded, four times for a gated cell
    cdef real* out             # (chunk, K)
    # Of many streams, so many at a time (chunk, H): h_{t-1}, h_{t-s} and c_{t-1} of a layer.
    cdef real* last_h
    cdef real* skip_h
    cdef real* last_c
    cdef real* old_c           # where a share of c stays as it was, the same while c_t is formed
    cdef Py_ssize_t chunk      # steps, or streams, worked on at a time

    def __cinit__(self, Engine engine not None):
        self.net, self.shape = engine.net, engine.layers
        self.flat = &engine.flat[0]
        self.inputs, self.rest, self.room = Arena(), Arena(), Arena()
        self.room.fit(self.net.layers * sizeof(UnitsLayer))
        self.layers = <UnitsLayer*>self.room.base
        self.inputs_version = self.rest_version = -1
        self.n_inputs = self.shape[0].weight_hh
        self.width = padded(self.net.hidden) * blocks_of_a(&self.net.cell)
        self.chunk = STREAM_BYTES // (self.width * <Py_ssize_t>sizeof(real))
        self.chunk = max(8, min(64, self.chunk))

    cdef size_t lay_out_inputs(self, char* base) noexcept:
        cdef size_t used = 0
        self.inputs_copy = carve_reals(base, &used, self.n_inputs)
        self.layers[0].input_weight = carve_reals(base, &used, self.net.inputs * self.width)
        self.x = carve_reals(base, &used, self.net.inputs)
        return used

    cdef size_t lay_out_rest(self, char* base) noexcept:
        cdef Py_ssize_t H = padded(self.net.hidden), K = padded(self.net.outputs), i
        cdef Py_ssize_t head = K if self.net.has_head else 0, old = history(&self.net) - 1
        cdef size_t used = 0
        cdef UnitsLayer* layer
        self.rest_copy = carve_reals(base, &used, self.net.size - self.n_inputs)
        for i in range(self.net.layers):
            layer = &self.layers[i]
            if i > 0:
                layer.input_weight = carve_reals(base, &used, self.net.hidden * self.width)
            layer.state_weight = carve_reals(base, &used, self.net.hidden * self.width)
            layer.skip_weight = carve_reals(
                base, &used, self.net.hidden * self.width if self.net.skip else 0
            )
            layer.bias = carve_reals(base, &used, self.width)
            layer.h = carve_reals(base, &used, (self.chunk + 1 + old) * H)
            if layer.h != NULL:
                layer.h += old * H
            layer.c = carve_reals(base, &used, H)
        self.head_weight = carve_reals(base, &used, self.net.hidden * head)
        self.head_bias = carve_reals(base, &used, head)
        self.a = carve_reals(base, &used, 0 if self.net.cell.plain else self.chunk * self.width)
        self.out = carve_reals(base, &used, self.chunk * head)
        self.last_h = carve_reals(base, &used, self.chunk * H)
        self.skip_h = carve_reals(base, &used, self.chunk * H if self.net.skip else 0)
        self.last_c = carve_reals(base, &used, self.chunk * H if self.net.cell.memory else 0)
        self.old_c = carve_reals(base, &used, self.chunk * H if zones_out(&self.net) else 0)
        return used

    cdef int refresh(self, Engine engine, bint tokens) except -1:
        """Pack again what has changed. Tokens read their columns of W_ih where they are."""
        cdef const real* inputs = self.flat
        cdef const real* rest = self.flat + self.n_inputs
        cdef Py_ssize_t n_inputs = self.n_inputs, n_rest = self.net.size - self.n_inputs
        if not tokens and engine.has_changed(
            self.inputs_version, self.inputs_copy, inputs, n_inputs
        ):
            self.inputs.fit(self.lay_out_inputs(NULL))
            self.lay_out_inputs(self.inputs.base)
            memcpy(self.inputs_copy, inputs, n_inputs * sizeof(real))
            pack_inputs_of_units(
                &self.net, self.layers[0].input_weight, self.inputs_copy, self.net.inputs,
                self.net.inputs,
            )
            self.inputs_version = engine.version
        if engine.has_changed(self.rest_version, self.rest_copy, rest, n_rest):
            self.rest.fit(self.lay_out_rest(NULL))
            self.lay_out_rest(self.rest.base)
            memset(self.rest.base, 0, self.rest.size)
            memcpy(self.rest_copy, rest, n_rest * sizeof(real))
            self.pack_rest(self.rest_copy - self.n_inputs)
            self.rest_version = engine.version
        return 0

    cdef int pack_rest(self, const real* p) except -1:
        cdef Network* net = &self.net
        cdef Py_ssize_t i, H = net.hidden, K = net.outputs
        cdef const Layer* shape
        cdef Weights shared
        shared.given = shared.packed = 1
        for i in range(net.layers):
            shape = &self.shape[i]
            if i > 0:
                pack_inputs_of_units(net, self.layers[i].input_weight, p + shape.weight_ih, H, H)
            pack_states_of_units(net, self.layers[i].state_weight, p + shape.weight_hh)
            if net.skip:
                pack_units(self.layers[i].skip_weight, p + shape.weight_skip, H, H, H, 1)
            pack_bias(
                net, shared, self.layers[i].bias, p + shape.bias_ih, p + shape.bias_hh, padded(H)
            )
        if not net.has_head:
            return 0
        pack_units(self.head_weight, p + net.head_weight, K, H, H, 1)
        if net.has_head_bias:
            memcpy(self.head_bias, p + net.head_bias, K * sizeof(real))
        return 0
