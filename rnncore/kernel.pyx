"""The compiled core, one build of it: this source is compiled once per precision and
instruction set (see setup.py), and ``rnncore._builds`` picks the one to use.

Entry points take numpy arrays, check their types and sizes, release the GIL, and hand the
loops plain buffers.  Checks that need names and explanations are left to the Python side,
which also sees to it that nobody else holds the arrays of indices it passes.
"""

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.number cimport PyNumber_Index
from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free, qsort
from libc.string cimport memcmp, memcpy, memmove, memset

from rnncore.atomics cimport (
    look_again, shared_add, shared_int, shared_read, shared_swap, shared_write,
)
from rnncore.cells.elman cimport elman_da, elman_forward, elman_units, nonlinear
from rnncore.cells.gru cimport gru_da, gru_forward, gru_gates
from rnncore.cells.lstm cimport lstm_da, lstm_forward, lstm_gates
from rnncore.lanes cimport (
    LANES, flush_subnormals, real, real_fma, restore_subnormals, vadd, vexp, vfma, vless, vload,
    vload_any, vlog, vlog1p_unit, vlogistic, vmask, vmul, vreal, vselect, vset1, vstore,
    vstore_any, vsum, vtanh, vtranspose,
)
from rnncore.layout cimport (
    carve_reals, choose_block, lay_out_block, lay_out_weights, tape_rows,
)
from rnncore.losses cimport bce, cross_entropy, mse
from rnncore.network cimport (
    BAD_INPUT, BAD_TARGET, BAD_TOKEN, BCE, CROSS_ENTROPY, ELMAN, GRU, IDENTITY, LSTM, MSE,
    NO_LOSS, RELU, SIGMOID, TANH, Cell, Loss, Network, Nonlinearity, Sequences, history,
    input_block, state_block, state_rows,
)
from rnncore.optimisers cimport (
    ADAM, ADAMW, MOMENTUM, NESTEROV, RMSPROP, SGD, Optimiser, Rule, update,
)
from rnncore.plan cimport (
    MAX_LANES, MOST_PASSES, Layer, Plan, after, before, hold_of, memory, place, plain, saved_at,
    scalar, slopes_at, slot_of, state, top_layer,
)
from rnncore.products cimport affine, contract, lanes_to_rows, outer_sum, pack, row_sums
from rnncore.shuffle cimport next_random, shuffle
from rnncore.units cimport affine_units, pack_units, padded, units_tile

from _thread import start_new_thread

cdef extern from "clock.h":
    double seconds_now() nogil

cdef extern from "memory.h":
    void* aligned_block(size_t size, char** aligned)

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX

include "arrays.pxi"
include "gather.pxi"
include "scalar.pxi"
include "truncate.pxi"
include "skip.pxi"
include "forward.pxi"
include "flow.pxi"
include "backward.pxi"
include "stack.pxi"
include "batch.pxi"
include "chunks.pxi"

# The numbers by which Python names what the core knows.
CELLS = {"RNN": ELMAN, "LSTM": LSTM, "GRU": GRU}
NONLINEARITIES = {"tanh": TANH, "relu": RELU, "sigmoid": SIGMOID, "identity": IDENTITY}
LOSSES = {None: NO_LOSS, "bce": BCE, "mse": MSE, "cross_entropy": CROSS_ENTROPY}
OPTIMISERS = {
    "sgd": SGD, "momentum": MOMENTUM, "nesterov": NESTEROV, "rmsprop": RMSPROP, "adam": ADAM,
    "adamw": ADAMW,
}

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
        return 0


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


cdef int set_out(Arena arena, Plan* plan) except -1:
    """Give a plan its memory."""
    cdef size_t weights = lay_out_weights(plan, NULL)
    arena.fit(weights + lay_out_block(plan, NULL))
    lay_out_weights(plan, arena.base)
    lay_out_block(plan, arena.base + weights)
    return 0


cdef void split_states(Sequences* seqs, Py_ssize_t size) noexcept:
    """Find c after h in the states of an LSTM."""
    if seqs.h0 != NULL:
        seqs.c0 = seqs.h0 + size
    if seqs.final != NULL:
        seqs.final_c = seqs.final + size
    if seqs.dh0 != NULL:
        seqs.dc0 = seqs.dh0 + size


include "crew.pxi"


cdef class Engine:
    """A network on its flat parameter vector, which it shares with the caller; `views` are
    the parameters in it by name."""

    cdef Network net
    cdef Arena layer_room
    cdef Layer* layers           # (layers times directions) where their parameters are
    cdef real[::1] flat
    cdef cnp.ndarray vector
    cdef dict views
    cdef Arena arena
    cdef shared_int readers      # calls that read the parameters just now; -1: a fit writes
    # Whether what was made of the parameters still holds: for every change that the core
    # knows of, another version; and whether others may change them at any time.
    cdef Py_ssize_t version
    cdef bint exposed

    def __cinit__(
        self, cnp.ndarray flat not None, dict views not None, Py_ssize_t inputs, Py_ssize_t hidden,
        Py_ssize_t outputs, *, Cell cell, Py_ssize_t layers, bint bidirectional, Py_ssize_t skip,
        bint bias, bint head, bint start, bint every_step, Nonlinearity nonlinearity, Loss loss,
        double dropout,
    ):
        """outputs: K; without a head, the states' width.  skip: s, 0 where there is none.
        start: the first states are parameters, "h0" (and "c0"), one for all sequences."""
        cdef Network* net = &self.net
        net.cell, net.gates = cell, 4 if cell == LSTM else 3 if cell == GRU else 1
        net.inputs, net.hidden, net.outputs = inputs, hidden, outputs
        net.layers, net.directions, net.skip = layers, 2 if bidirectional else 1, skip
        net.has_bias, net.has_head, net.has_start = bias, head, start
        net.every_step, net.nonlinearity, net.loss = every_step, nonlinearity, loss
        net.dropout = dropout
        if not 1 <= layers * net.directions <= MOST_PASSES:
            raise ValueError(f"layers: expected up to {MOST_PASSES} in all, got {layers}")
        self.layer_room = Arena()
        self.layer_room.fit(layers * net.directions * sizeof(Layer))
        self.layers = <Layer*>self.layer_room.base
        memset(self.layers, 0, layers * net.directions * sizeof(Layer))
        self.place_parameters()
        room("flat", flat, net.size)
        if not head:
            expect("outputs", outputs, net.directions * hidden)
        self.flat, self.vector, self.views = flat, flat, views
        self.arena = Arena()

    cdef void place_parameters(self) noexcept:
        """Where each block of parameters is in the flat vector: layer after layer, of each the
        forward direction first; then the head; then the first states."""
        cdef Network* net = &self.net
        cdef Layer* layer
        cdef Py_ssize_t H = net.hidden, wide = net.directions * H, rows = net.gates * H
        cdef Py_ssize_t passes = net.layers * net.directions, i
        net.size = 0
        for i in range(passes):
            layer = &self.layers[i]
            layer.number, layer.reverse = i // net.directions, i % net.directions
            layer.inputs = wide if layer.number else net.inputs
            layer.state_row = i * history(net)
            layer.weight_ih = self.take(rows * layer.inputs)
            layer.weight_hh = self.take(rows * H)
            layer.weight_skip = self.take(H * H if net.skip else 0)
            layer.bias_ih = self.take(rows if net.has_bias else 0)
            layer.bias_hh = self.take(rows if net.has_bias else 0)
        net.head_weight = self.take(net.outputs * wide if net.has_head else 0)
        net.head_bias = self.take(net.outputs if net.has_head and net.has_bias else 0)
        net.h0 = self.take(passes * H if net.has_start else 0)
        net.c0 = self.take(passes * H if net.has_start and net.cell == LSTM else 0)
        for i in range(passes):
            layer = &self.layers[i]
            layer.head_weight = net.head_weight + layer.reverse * H
            layer.h0, layer.c0 = net.h0 + i * H, net.c0 + i * H

    cdef Py_ssize_t take(self, Py_ssize_t count) noexcept:
        """The start of so many parameters more."""
        self.net.size += count
        return self.net.size - count

    cdef int prepare(
        self, Plan* plan, Batch batch, Py_ssize_t count, bint backward, bint want_dx,
        Py_ssize_t truncate=0, double activation=0, Py_ssize_t term=0,
    ) except -1:
        """A plan for blocks of `count` sequences of the batch, but for its memory."""
        cdef double reals
        cdef Py_ssize_t passes = self.net.layers * self.net.directions
        if batch.seqs.x != NULL:
            expect("x", batch.inputs, self.net.inputs)
        if batch.seqs.h0 != NULL:
            expect("h0", batch.state_size, self.states(batch.seqs.count))
        memset(plan, 0, sizeof(Plan) - MOST_PASSES * sizeof(Layer))
        memcpy(plan.layers, self.layers, passes * sizeof(Layer))
        plan.net, plan.passes = self.net, passes
        plan.tokens = batch.seqs.tokens != NULL
        plan.masked = batch.seqs.mask != NULL
        plan.ragged = batch.seqs.length != NULL or plan.masked
        plan.backward = backward
        plan.want_dx = want_dx
        plan.truncate, plan.activation, plan.term = truncate, activation, term
        choose_block(plan, count, batch.seqs.time)
        reals = <double>(plan.slots + plan.net.skip) * plan.lanes * (tape_rows(plan) + 2)
        if reals * sizeof(real) > PY_SSIZE_T_MAX // 4:
            raise MemoryError(f"x: {reals * sizeof(real):.3g} bytes for the tape of this call")
        return 0

    cdef Py_ssize_t states(self, Py_ssize_t count) noexcept:
        """Reals in the states of so many sequences: h, and after all of these c of an LSTM."""
        return (2 if self.net.cell == LSTM else 1) * count * state_rows(&self.net) * self.net.hidden

    cdef int run(self, Plan* plan, Sequences* seqs, real* grad, object threads) except -1:
        # The arena is taken away while in use: a second thread makes its own.
        cdef Arena arena = self.arena
        self.arena = Arena()
        plan.parameters = &self.flat[0]
        set_out(arena, plan)
        if self.net.cell == LSTM:
            split_states(seqs, self.states(seqs.count) // 2)
        if blocks_of(plan, seqs.count) == 1:
            self.run_alone(plan, seqs, grad)
        else:
            self.run_shared(plan, seqs, grad, threads)
        if arena.size <= KEEP_BYTES:
            self.arena = arena
        return 0

    cdef int run_alone(self, Plan* plan, Sequences* seqs, real* grad) except -1:
        self.begin_reading()
        with nogil:
            pack_weights(plan)
            work(plan, seqs, 0, seqs.count, grad)
            # Before waiting for the GIL: whoever has it may be about to fit.
            self.end_reading()
        return 0

    cdef int run_shared(
        self, Plan* plan, Sequences* seqs, real* grad, object threads,
    ) except -1:
        cdef Crew crew = Crew()
        crew.plan, crew.seqs, crew.grad = plan, seqs, grad
        crew.first, crew.count = 0, seqs.count
        crew.divide()
        self.begin_reading()
        try:
            crew.call_helpers(threads, CALL_WORTH_SHARING)
        except BaseException:
            self.end_reading()
            raise
        with nogil:
            pack_weights(plan)
            crew.work_together()
            crew.dismiss()
            self.end_reading()
        return 0

    # Parameters must not change under a call: any number of calls may read them, a fit,
    # which writes them, must be alone.

    cdef int begin_reading(self) except -1:
        cdef int64_t readers = shared_read(&self.readers)
        while readers >= 0:
            if shared_swap(&self.readers, readers, readers + 1):
                return 0
            readers = shared_read(&self.readers)
        raise RuntimeError(
            "this network is being fitted by another thread: expected to have it alone; "
            "use a copy of it (copy.deepcopy)"
        )

    cdef void end_reading(self) noexcept nogil:
        shared_add(&self.readers, -1)

    cdef int begin_writing(self) except -1:
        if not shared_swap(&self.readers, 0, -1):
            raise RuntimeError(
                "fit: this network is in use by another thread: expected to have it alone; "
                "fit a copy of it (copy.deepcopy)"
            )
        return 0

    cdef void end_writing(self) noexcept:
        self.version += 1
        shared_write(&self.readers, 0)

    def note_change(self):
        """The parameters have been written to."""
        self.version += 1

    def note_exposure(self):
        """From now on somebody may write to the parameters unnoticed."""
        self.exposed = True

    cdef int set_targets(
        self, Sequences* seqs, Batch batch, cnp.ndarray target, cnp.ndarray classes,
    ) except -1:
        cdef Py_ssize_t count = batch.rows if self.net.every_step else batch.seqs.count
        if self.net.loss == NO_LOSS:
            raise ValueError("this network has no loss")
        if self.net.loss == CROSS_ENTROPY:
            seqs.classes = indices("classes", classes, count)
        else:
            seqs.target = reals("target", target, count * self.net.outputs)
        return 0

    def forward(
        self, Batch batch not None, cnp.ndarray y not None, cnp.ndarray hidden, cnp.ndarray final,
        threads=1,
    ):
        """Outputs into y (B or rows, K), states into hidden (rows, directions H) and final
        (B, states, H; of an LSTM (2, B, states, H), h before c).  Rows of steps that do not
        count are left alone.
        Returns the faults met."""
        cdef Plan plan
        cdef Sequences seqs = batch.seqs
        cdef Py_ssize_t count = seqs.count
        seqs.y = room("y", y, (batch.rows if self.net.every_step else count) * self.net.outputs)
        if hidden is not None:
            seqs.hidden = room("hidden", hidden, batch.rows * self.net.directions * self.net.hidden)
        if final is not None:
            seqs.final = room("final", final, self.states(count))
        self.prepare(&plan, batch, count, False, False)
        self.run(&plan, &seqs, NULL, threads)
        return plan.faults

    def loss(self, Batch batch not None, cnp.ndarray target, cnp.ndarray classes, threads=1):
        """(mean loss, faults); the loss is NaN where no target counts."""
        cdef Plan plan
        cdef Sequences seqs = batch.seqs
        cdef double count
        self.set_targets(&seqs, batch, target, classes)
        self.prepare(&plan, batch, seqs.count, False, False)
        count = count_targets(&plan.net, &seqs, 0, seqs.count)
        self.run(&plan, &seqs, NULL, threads)
        return plan.loss / count if count else float("nan"), plan.faults

    def terms(
        self, Batch batch not None, cnp.ndarray target, cnp.ndarray classes,
        cnp.ndarray order not None, double scale, cnp.ndarray terms not None,
        cnp.ndarray squares not None, bint last_only=False,
    ):
        """Every step's part of the gradient of scale times the loss of the sequences in `order`,
        all of one length n, added to terms (n, size); |dL/dh|^2 of all slots added to squares
        (passes, n + 1, 3), see `add_square`.  Subnormals are kept.  Returns (sum of the losses,
        faults)."""
        cdef Plan plan
        cdef Sequences seqs = batch.seqs
        cdef Py_ssize_t count = cnp.PyArray_SIZE(order), n, passes, done = 0
        cdef real* grad
        cdef Arena arena = Arena()
        seqs.order = indices("order", order, count)
        check_order(seqs.order, count, seqs.count)
        n = seqs.length[seqs.order[0]] if seqs.length != NULL else seqs.time
        for done in range(count):
            if seqs.length != NULL and seqs.length[seqs.order[done]] != n:
                raise ValueError("order: expected sequences of one length")
        passes = self.net.layers * self.net.directions
        grad = room("terms", terms, n * self.net.size)
        self.set_targets(&seqs, batch, target, classes)
        self.prepare(&plan, batch, count, True, False, 0, 0, self.net.size)
        plan.squares = <double*>contents("squares", squares, c"f", 8, 3 * passes * (n + 1))
        plan.scale, plan.last_only = scale, last_only
        plan.parameters = &self.flat[0]
        set_out(arena, &plan)
        if self.net.cell == LSTM:
            split_states(&seqs, self.states(seqs.count) // 2)
        self.begin_reading()
        with nogil:
            pack_weights(&plan)
            for done in range(passes):
                clear_sums(&plan, &plan.layers[done])
            done = 0
            while done < count:
                open_block(&plan, &seqs, done, min(plan.lanes, count - done))
                forward_block(&plan, &seqs)
                backward_block(&plan, &seqs, grad)
                done += plan.used
            self.end_reading()
        return plan.loss, plan.faults

    def jacobians(
        self, Batch batch not None, cnp.ndarray order not None, Py_ssize_t which,
        cnp.ndarray out not None, cnp.ndarray out_skip,
    ):
        """d state_t / d state_{t-1} of a layer in one direction, `which` of all, for sequences
        of one length n, into out (n, count, S, S): the state is h, or of an LSTM [h c]. With a
        skip connection dh_t / dh_{t-s} into out_skip (n, count, H, H)."""
        cdef Plan plan
        cdef Sequences seqs = batch.seqs
        cdef Py_ssize_t count = cnp.PyArray_SIZE(order), n, S = self.net.hidden
        cdef real* numbers
        cdef real* numbers_skip = NULL
        cdef Arena arena = Arena()
        S *= 2 if self.net.cell == LSTM else 1
        seqs.order = indices("order", order, count)
        check_order(seqs.order, count, seqs.count)
        n = seqs.length[seqs.order[0]] if seqs.length != NULL else seqs.time
        if not 0 <= which < self.net.layers * self.net.directions:
            raise ValueError(f"which: no layer {which}")
        numbers = room("out", out, n * count * S * S)
        if self.net.skip:
            numbers_skip = room("out_skip", out_skip, n * count * S * S)
        self.prepare(&plan, batch, count, True, False, 0, 0, self.net.size)
        plan.parameters = &self.flat[0]
        set_out(arena, &plan)
        if count > plan.lanes:
            raise ValueError(f"order: expected up to {plan.lanes} sequences, got {count}")
        if self.net.cell == LSTM:
            split_states(&seqs, self.states(seqs.count) // 2)
        self.begin_reading()
        with nogil:
            pack_weights(&plan)
            open_block(&plan, &seqs, 0, count)
            forward_block(&plan, &seqs)
            jacobians_of(&plan, &plan.layers[which], n, numbers, numbers_skip)
            self.end_reading()

    def gradient(
        self, Batch batch not None, cnp.ndarray target, cnp.ndarray classes, cnp.ndarray dy,
        cnp.ndarray dx=None, cnp.ndarray dh0=None, threads=1, dropout_seed=None,
        Py_ssize_t truncate=0,
    ):
        """Gradients of the loss against the targets or, given dy (B or rows, K), of
        sum(dy * y); those with respect to x into dx (rows, D), to h0 into dh0, shaped as h0.
        With a dropout_seed there is dropout; truncate: after how many steps slopes stop.

        Returns (mean loss, gradients by name, faults).
        """
        cdef Plan plan
        cdef Sequences seqs = batch.seqs
        cdef double count = 1
        cdef cnp.ndarray grad = cnp.PyArray_ZEROS(1, [self.net.size], REAL_NUMBER, 0)
        cdef Py_ssize_t outputs = batch.rows if self.net.every_step else seqs.count
        if dy is None:
            self.set_targets(&seqs, batch, target, classes)
            count = count_targets(&self.net, &seqs, 0, seqs.count)
        else:
            seqs.dy = reals("dy", dy, outputs * self.net.outputs)
        if dx is not None:
            if seqs.x == NULL:
                raise ValueError("dx: tokens have no gradient")
            seqs.dx = room("dx", dx, batch.rows * self.net.inputs)
        if dh0 is not None:
            seqs.dh0 = room("dh0", dh0, self.states(seqs.count))
        self.prepare(&plan, batch, seqs.count, True, dx is not None, truncate)
        plan.scale = 1 / count if count else 0
        if dropout_seed is not None:
            plan.dropout, plan.dropout_seed = self.net.dropout, dropout_seed
        self.run(&plan, &seqs, <real*>cnp.PyArray_DATA(grad), threads)
        return (
            plan.loss / count if count else float("nan"),
            views_like(self.views, self.vector, grad),
            plan.faults,
        )


include "fit.pxi"
include "probes.pxi"
include "stream.pxi"


def evaluate(str name not None, cnp.ndarray x not None, cnp.ndarray out not None):
    """One of the core's own functions, element by element: "exp", "log" (x >= 1), "log1p"
    (0 <= x <= 1), "tanh", "logistic", and the slopes "dtanh" and "dlogistic"."""
    cdef Py_ssize_t i = 0, j, n = cnp.PyArray_SIZE(x)
    cdef const real* source = reals("x", x, n)
    cdef real* target = room("out", out, n)
    cdef real chunk[MAX_LANES]
    cdef vreal a, y, slope
    cdef int which = ["exp", "log", "log1p", "tanh", "logistic", "dtanh", "dlogistic"].index(name)
    with nogil:
        while i < n:
            for j in range(LANES):
                chunk[j] = source[min(i + j, n - 1)]
            a = vload_any(chunk)
            if which == 0:
                y = vexp(a)
            elif which == 1:
                y = vlog(a)
            elif which == 2:
                y = vlog1p_unit(a)
            elif which == 3 or which == 5:
                y = vtanh(a, &slope)
            else:
                y = vlogistic(a, &slope)
            vstore_any(chunk, slope if which >= 5 else y)
            for j in range(min(LANES, n - i)):
                target[i + j] = chunk[j]
            i += LANES
