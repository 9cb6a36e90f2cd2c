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
from libc.math cimport INFINITY, NAN, fmax, isfinite
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free, qsort
from libc.string cimport memcmp, memcpy, memmove, memset

from rnncore.atomics cimport (
    count_of, look_again, shared_add, shared_int, shared_read, shared_swap, shared_write, users_of,
    watch_forks,
)
from rnncore.cells.cell cimport (
    Cell, blocks_of_a, gates_of, input_block, state_block,
)
from rnncore.cells.elman cimport (
    IDENTITY, RELU, SIGMOID, TANH, Nonlinearity, elman_units, nonlinear,
)
from rnncore.cells.table cimport describe
from rnncore.lanes cimport (
    LANES, flush_subnormals, real, real_fma, restore_subnormals, vadd, vexp, vfma, vless, vload,
    vload_any, vlog, vlog1p_unit, vlogistic, vmask, vmul, vreal, vselect, vset1, vstore,
    vstore_any, vsum, vtanh, vtranspose,
)
from rnncore.layout cimport (
    carve_reals, choose_block, lay_out_block, lay_out_weights, tape_rows,
)
from rnncore.losses.loss cimport Loss
from rnncore.losses.table cimport describe_loss
from rnncore.network cimport (
    BAD_INPUT, BAD_TARGET, BAD_TOKEN, Network, Sequences, history, state_rows, target_width,
)
from rnncore.optimisers.optimiser cimport Optimiser, Rule
from rnncore.optimisers.table cimport describe_rule
from rnncore.optimisers.update cimport update
from rnncore.plan cimport (
    MAX_LANES, MOST_PASSES, Layer, Plan, after, before, hold_beforehand, hold_of, memory, place,
    plain, saved_at, scalar, slopes_at, slot_of, state, top_layer,
)
from rnncore.products cimport affine, contract, lanes_to_rows, outer_sum, pack, row_sums
from rnncore.shuffle cimport next_random, shuffle
from rnncore.units cimport affine_units, pack_units, padded, units_tile

from _thread import start_new_thread

cdef extern from "clock.h":
    double seconds_now() nogil

cdef extern from "memory.h":
    void* aligned_block(size_t size, char** aligned)
    void poison(void* memory, size_t size)

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX

watch_forks()

include "arrays.pxi"
include "gather.pxi"
include "scalar.pxi"
include "truncate.pxi"
include "skip.pxi"
include "forward.pxi"
include "flow.pxi"
include "backward.pxi"
include "stack.pxi"
include "packing.pxi"
include "batch.pxi"
include "chunks.pxi"

cdef dict all_cells():
    """Of every cell, by name: its number, how many gates its parameters have, and of how many
    arrays its state is made."""
    cdef Cell cell
    cdef int number = 0
    cdef dict cells = {}
    while describe(&cell, number):
        cells[(<bytes>cell.name).decode()] = (number, gates_of(&cell), 1 + cell.memory)
        number += 1
    return cells


cdef dict all_losses():
    """Of every loss, by name: its number, whether a target is a class, how many outputs belong to a
    target that is none, and its least and largest value."""
    cdef Loss loss
    cdef int number = 1
    cdef dict losses = {}
    while describe_loss(&loss, number):
        losses[(<bytes>loss.name).decode()] = (
            number, loss.classes, loss.outputs, loss.low, loss.high,
        )
        number += 1
    return losses


cdef dict all_rules():
    """Of every optimiser, by name, its number."""
    cdef Rule rule
    cdef int number = 0
    cdef dict rules = {}
    while describe_rule(&rule, number):
        rules[(<bytes>rule.name).decode()] = number
        number += 1
    return rules


# The numbers by which Python names what the core knows.
CELLS = all_cells()
NONLINEARITIES = {"tanh": TANH, "relu": RELU, "sigmoid": SIGMOID, "identity": IDENTITY}
LOSSES = all_losses()
OPTIMISERS = all_rules()

include "sequences.pxi"


cdef int set_out(Arena arena, Plan* plan, const Sequences* seqs) except -1:
    """Give a plan its memory."""
    cdef size_t weights = lay_out_weights(plan, NULL)
    plan.weight_rows = 1
    if seqs.target_weight != NULL:
        plan.weight_rows = target_width(&plan.net)
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
    cdef Arena arena             # of the last call, for the next; None while one uses it
    cdef shared_int readers      # calls that read the parameters just now; -1: one writes, see
                                 # `users_of`
    # Whether what was made of the parameters still holds: for every change that the core
    # knows of, another version; and whether others may change them at any time.
    cdef Py_ssize_t version
    cdef shared_int exposed

    def __cinit__(
        self, cnp.ndarray flat not None, dict views not None, Py_ssize_t inputs, Py_ssize_t hidden,
        Py_ssize_t outputs, *, int cell, Py_ssize_t layers, bint bidirectional, Py_ssize_t skip,
        bint bias, bint head, bint start, bint every_step, Nonlinearity nonlinearity, int loss,
        double dropout,
    ):
        """outputs: K; without a head, the states' width.  skip: s, 0 where there is none.
        start: the first states are parameters, "h0" (and "c0"), one for all sequences."""
        cdef Network* net = &self.net
        if not describe(&net.cell, cell):
            raise ValueError(f"cell: there is no number {cell}")
        net.gates = gates_of(&net.cell)
        net.inputs, net.hidden, net.outputs = inputs, hidden, outputs
        net.layers, net.directions, net.skip = layers, 2 if bidirectional else 1, skip
        net.has_bias, net.has_head, net.has_start = bias, head, start
        net.every_step, net.nonlinearity = every_step, nonlinearity
        if not describe_loss(&net.loss, loss) and loss != 0:
            raise ValueError(f"loss: there is no number {loss}")
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
        net.c0 = self.take(passes * H if net.has_start and net.cell.memory else 0)
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
        if reals * sizeof(real) > <double>(PY_SSIZE_T_MAX // 4):
            raise MemoryError(f"x: {reals * sizeof(real):.3g} bytes for the tape of this call")
        return 0

    cdef Py_ssize_t states(self, Py_ssize_t count) noexcept:
        """Reals in the states of so many sequences: h, and after all of these c of an LSTM."""
        return (2 if self.net.cell.memory else 1) * count * state_rows(&self.net) * self.net.hidden

    cdef int run(self, Plan* plan, Sequences* seqs, real* grad, object threads) except -1:
        cdef Arena arena = self.swap_arena(None)
        if arena is None:
            arena = Arena()
        plan.parameters = &self.flat[0]
        set_out(arena, plan, seqs)
        if self.net.cell.memory:
            split_states(seqs, self.states(seqs.count) // 2)
        if blocks_of(plan, seqs.count) == 1:
            self.run_alone(plan, seqs, grad)
        else:
            self.run_shared(plan, seqs, grad, threads)
        if arena.size <= KEEP_BYTES:
            self.swap_arena(arena)
        return 0

    cdef Arena swap_arena(self, Arena arena):
        """Take the arena and leave another, or None, as one act: two threads must never have
        the same.  (Where there is a GIL, it sees to that.)"""
        cdef Arena taken
        with cython.critical_section(self):
            taken, self.arena = self.arena, arena
        return taken

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

    # Parameters must not change under a call: any number of calls may read them, whoever
    # writes them must be alone.

    cdef int begin_reading(self) except -1:
        cdef int64_t readers = shared_read(&self.readers)
        while users_of(readers) >= 0:
            if shared_swap(&self.readers, readers, count_of(users_of(readers) + 1)):
                return 0
            readers = shared_read(&self.readers)
        raise RuntimeError(
            "this network is being changed by another thread: expected to have it alone; "
            "use a copy of it (copy.deepcopy)"
        )

    cdef void end_reading(self) noexcept nogil:
        shared_add(&self.readers, -1)

    cdef int begin_writing(self, str who) except -1:
        cdef int64_t readers = shared_read(&self.readers)
        if users_of(readers) != 0 or not shared_swap(&self.readers, readers, count_of(-1)):
            raise RuntimeError(
                f"{who}: this network is in use by another thread: expected to have it alone; "
                "use a copy of it (copy.deepcopy)"
            )
        return 0

    cdef void end_writing(self) noexcept:
        self.version += 1
        shared_write(&self.readers, count_of(0))

    cdef int overwrite(self, str who, const real* parameters) except -1:
        """Other parameters."""
        self.begin_writing(who)
        memcpy(&self.flat[0], parameters, self.net.size * sizeof(real))
        self.end_writing()
        return 0

    def assign(
        self, str who not None, cnp.ndarray parameters not None, cnp.ndarray given not None,
    ):
        """Other parameters (size), as `who` wants; those for which `given` (size bytes) is 0 stay
        as they are."""
        cdef const real* numbers = reals("parameters", parameters, self.net.size)
        cdef const unsigned char* which = <const unsigned char*>contents(
            "given", given, c"u", 1, self.net.size
        )
        cdef Py_ssize_t i
        self.begin_writing(who)
        for i in range(self.net.size):
            if which[i]:
                self.flat[i] = numbers[i]
        self.end_writing()

    def note_exposure(self):
        """From now on somebody may write to the parameters unnoticed."""
        shared_write(&self.exposed, 1)

    cdef int set_targets(
        self, Sequences* seqs, Batch batch, cnp.ndarray target, cnp.ndarray classes,
        cnp.ndarray weight,
    ) except -1:
        cdef Py_ssize_t count = batch.rows if self.net.every_step else batch.seqs.count
        if self.net.loss.evaluate == NULL:
            raise ValueError("this network has no loss")
        if self.net.loss.classes:
            seqs.classes = indices("classes", classes, count)
        else:
            seqs.target = reals("target", target, count * target_width(&self.net))
        if weight is not None:
            seqs.target_weight = reals("weight", weight, count * target_width(&self.net))
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

    def loss(
        self, Batch batch not None, cnp.ndarray target, cnp.ndarray classes, cnp.ndarray weight,
        threads=1, cnp.ndarray losses=None,
    ):
        """(sum of the losses, times weights where these are given; what it is to be divided by
        for the mean; faults).  The loss of each target goes into losses (B or rows, K; of classes
        1), but those of steps that do not count are left alone."""
        cdef Plan plan
        cdef Sequences seqs = batch.seqs
        cdef Py_ssize_t outputs = batch.rows if self.net.every_step else seqs.count
        self.set_targets(&seqs, batch, target, classes, weight)
        if losses is not None:
            seqs.losses = room("losses", losses, outputs * target_width(&self.net))
        self.prepare(&plan, batch, seqs.count, False, False)
        self.run(&plan, &seqs, NULL, threads)
        return plan.loss, count_targets(&self.net, &seqs, 0, seqs.count), plan.faults

    def gradient(
        self, Batch batch not None, cnp.ndarray target, cnp.ndarray classes, cnp.ndarray weight,
        cnp.ndarray dy, cnp.ndarray dx=None, cnp.ndarray dh0=None, threads=1, dropout_seed=None,
        Py_ssize_t truncate=0, bint mean=True,
    ):
        """Gradients of the mean or the sum of the losses against the targets or, given dy (B or
        rows, K), of sum(dy * y); those with respect to x into dx (rows, D), to h0 into dh0, shaped
        as h0.  With a dropout_seed there is dropout; truncate: steps of a truncation window.
        Rows of dx that no gradient comes to, of steps that do not count or lie outside the last
        window, are left alone.

        Returns (loss, gradients by name, faults); the mean is NaN where no target counts.
        """
        cdef Plan plan
        cdef Sequences seqs = batch.seqs
        cdef double count = 1
        cdef cnp.ndarray grad = cnp.PyArray_ZEROS(1, [self.net.size], REAL_NUMBER, 0)
        cdef Py_ssize_t outputs = batch.rows if self.net.every_step else seqs.count
        if dy is None:
            self.set_targets(&seqs, batch, target, classes, weight)
            if mean:
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
include "terms.pxi"
include "probes.pxi"
include "packed_units.pxi"
include "stream.pxi"
include "stream_calls.pxi"


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
