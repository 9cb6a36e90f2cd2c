"""The compiled core, one build of it: this source is compiled once per precision and
instruction set (see setup.py), and ``rnncore._builds`` picks the one to use.

Entry points take typed memoryviews, check their shapes, release the GIL, and hand the
loops plain buffers.  Checks that need names and explanations are left to the Python side,
which also sees to it that nobody else holds the arrays of indices it passes.
"""

from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from rnncore.atomics cimport look_again, shared_add, shared_int, shared_read, shared_swap, shared_write
from rnncore.cells.elman cimport elman_da, elman_dh, elman_forward, nonlinear
from rnncore.lanes cimport (
    LANES, flush_subnormals, real, real_fma, restore_subnormals, vadd, vfma, vless, vload, vload_any,
    vlog, vlog1p_unit, vexp, vlogistic, vmask, vmul, vreal, vselect, vset1, vstore,
    vstore_any, vsum, vtanh, vtranspose,
)
from rnncore.losses cimport bce, cross_entropy, mse
from rnncore.optimisers cimport ADAM, MOMENTUM, SGD, Optimiser, Rule, update
from rnncore.plan cimport (
    BAD_INPUT, BAD_TARGET, BAD_TOKEN, BCE, CROSS_ENTROPY, IDENTITY, MAX_LANES, MSE, NO_LOSS,
    RELU, SIGMOID, TANH, Loss, Network, Nonlinearity, Plan, Sequences, choose_block, lay_out_block,
    lay_out_weights,
)
from rnncore.products cimport affine, contract, lanes_to_rows, outer_sum, pack, row_sums
from rnncore.shuffle cimport shuffle

from _thread import start_new_thread

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX

include "gather.pxi"
include "scalar.pxi"
include "forward.pxi"
include "backward.pxi"
include "chunks.pxi"
include "batch.pxi"

# The numbers by which Python names what the core knows.
NONLINEARITIES = {"tanh": TANH, "relu": RELU, "sigmoid": SIGMOID, "identity": IDENTITY}
LOSSES = {None: NO_LOSS, "bce": BCE, "mse": MSE, "cross_entropy": CROSS_ENTROPY}
OPTIMISERS = {"sgd": SGD, "momentum": MOMENTUM, "adam": ADAM}

cdef enum:
    KEEP_BYTES = 1 << 28      # the largest arena a network holds on to between calls


cdef const real* pointer(const real[:, ::1] rows) noexcept:
    return &rows[0, 0] if rows is not None and rows.shape[0] and rows.shape[1] else NULL


cdef int expect(str name, Py_ssize_t got, Py_ssize_t wanted) except -1:
    if got != wanted:
        raise ValueError(f"{name}: expected size {wanted}, got {got}")
    return 0


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
            self.block = malloc(size + 64)
            if self.block == NULL:
                raise MemoryError(f"x: {size:.3g} bytes for the tape of this call")
            self.base = <char*>((<uintptr_t>self.block + 63) & ~<uintptr_t>63)
            self.size = size
        return 0


cdef class Batch:
    """Sequences to work on: rows of numbers or tokens, and which rows are whose.

    Step t of sequence s has row ``start[s] + t`` of ``x`` (rows, D) or ``tokens`` (rows)
    and of ``mask`` (rows; 0 where a step does not count).  ``start`` and ``length`` (B):
    None where every sequence has ``time`` steps, one after another.  ``order`` (B): in
    which order to put them into blocks.  ``h0`` (B, H).
    """

    cdef Sequences seqs
    cdef readonly Py_ssize_t rows
    cdef const real[:, ::1] x
    cdef const real[:, ::1] h0
    cdef const int64_t[::1] tokens, start, length, order
    cdef const unsigned char[::1] mask

    def __cinit__(
        self, Py_ssize_t count, Py_ssize_t time, const real[:, ::1] x,
        const int64_t[::1] tokens, const int64_t[::1] start=None,
        const int64_t[::1] length=None, const int64_t[::1] order=None,
        const unsigned char[::1] mask=None, const real[:, ::1] h0=None,
    ):
        cdef Py_ssize_t i
        if count < 1 or time < 1 or (x is None) == (tokens is None):
            raise ValueError("a batch needs sequences, steps, and either x or tokens")
        memset(&self.seqs, 0, sizeof(Sequences))
        self.x, self.tokens, self.start, self.length = x, tokens, start, length
        self.order, self.mask, self.h0 = order, mask, h0
        self.seqs.count, self.seqs.time = count, time
        self.seqs.x = pointer(x)
        self.seqs.h0 = pointer(h0)
        self.rows = x.shape[0] if tokens is None else tokens.shape[0]
        if tokens is not None:
            self.seqs.tokens = &tokens[0]
        if mask is not None:
            expect("mask", mask.shape[0], self.rows)
            self.seqs.mask = &mask[0]
        if h0 is not None:
            expect("h0", h0.shape[0], count)
        if (start is None) != (length is None):
            raise ValueError("start and length go together")
        if start is None:
            expect("rows", self.rows, count * time)
        else:
            expect("start", start.shape[0], count)
            expect("length", length.shape[0], count)
            self.seqs.start, self.seqs.length = &start[0], &length[0]
            for i in range(count):
                if not 1 <= length[i] <= time or not 0 <= start[i] <= self.rows - length[i]:
                    raise ValueError(f"sequence {i}: its rows are not among those given")
        if order is not None:
            expect("order", order.shape[0], count)
            self.seqs.order = &order[0]
            for i in range(count):
                if not 0 <= order[i] < count:
                    raise ValueError(f"order: no sequence {order[i]}")


cdef int set_out(Arena arena, Plan* plan) except -1:
    """Give a plan its memory."""
    cdef size_t weights = lay_out_weights(plan, NULL)
    arena.fit(weights + lay_out_block(plan, NULL))
    lay_out_weights(plan, arena.base)
    lay_out_block(plan, arena.base + weights)
    return 0


include "crew.pxi"


cdef class Engine:
    """A network on its flat parameter vector, which it shares with the caller."""

    cdef Network net
    cdef real[::1] flat
    cdef Arena arena
    cdef shared_int readers      # calls that read the parameters just now; -1: a fit writes

    def __cinit__(
        self, real[::1] flat not None, Py_ssize_t inputs, Py_ssize_t hidden,
        Py_ssize_t outputs, *, bint bias, bint head, bint every_step,
        Nonlinearity nonlinearity, Loss loss,
    ):
        cdef Network* net = &self.net
        cdef Py_ssize_t H = hidden, bias_size = hidden if bias else 0
        net.inputs, net.hidden, net.outputs = inputs, hidden, outputs
        net.has_bias, net.has_head, net.every_step = bias, head, every_step
        net.nonlinearity, net.loss = nonlinearity, loss
        net.weight_ih = 0
        net.weight_hh = H * inputs
        net.bias_ih = net.weight_hh + H * H
        net.bias_hh = net.bias_ih + bias_size
        net.head_weight = net.bias_hh + bias_size
        net.head_bias = net.head_weight + (outputs * H if head else 0)
        net.size = net.head_bias + (outputs if head and bias else 0)
        expect("flat", flat.shape[0], net.size)
        if not head:
            expect("outputs", outputs, hidden)
        self.flat = flat
        self.arena = Arena()

    cdef int prepare(
        self, Plan* plan, Batch batch, Py_ssize_t count, bint backward, bint want_dx,
    ) except -1:
        """A plan for blocks of `count` sequences of the batch, but for its memory."""
        cdef double reals
        if batch.x is not None:
            expect("x", batch.x.shape[1], self.net.inputs)
        if batch.h0 is not None:
            expect("h0", batch.h0.shape[1], self.net.hidden)
        memset(plan, 0, sizeof(Plan))
        plan.net = self.net
        plan.tokens = batch.tokens is not None
        plan.ragged = batch.length is not None or batch.mask is not None
        plan.backward = backward
        plan.want_dx = want_dx
        choose_block(plan, count, batch.seqs.time)
        reals = <double>plan.slots * (plan.rows + plan.net.hidden + 2) * plan.lanes
        if reals * sizeof(real) > PY_SSIZE_T_MAX // 4:
            raise MemoryError(f"x: {reals * sizeof(real):.3g} bytes for the tape of this call")
        return 0

    cdef int run(self, Plan* plan, Sequences* seqs, real* grad, object threads) except -1:
        # The arena is taken away while in use: a second thread makes its own.
        cdef Arena arena = self.arena
        cdef Crew crew = Crew()
        self.arena = Arena()
        plan.parameters = &self.flat[0]
        set_out(arena, plan)
        crew.plan, crew.seqs, crew.grad = plan, seqs, grad
        crew.first, crew.count = 0, seqs.count
        self.begin_reading()
        try:
            crew.divide()
            crew.call_helpers(threads, CALL_WORTH_SHARING)
            with nogil:
                pack_weights(plan)
                crew.work_together()
                crew.dismiss()
        finally:
            self.end_reading()
        if arena.size <= KEEP_BYTES:
            self.arena = arena
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

    cdef void end_reading(self) noexcept:
        shared_add(&self.readers, -1)

    cdef int begin_writing(self) except -1:
        if not shared_swap(&self.readers, 0, -1):
            raise RuntimeError(
                "fit: this network is in use by another thread: expected to have it alone; "
                "fit a copy of it (copy.deepcopy)"
            )
        return 0

    cdef void end_writing(self) noexcept:
        shared_write(&self.readers, 0)

    cdef int set_targets(
        self, Sequences* seqs, Batch batch, const real[:, ::1] target, const int64_t[::1] classes,
    ) except -1:
        cdef Py_ssize_t count = batch.rows if self.net.every_step else batch.seqs.count
        if self.net.loss == NO_LOSS:
            raise ValueError("this network has no loss")
        if self.net.loss == CROSS_ENTROPY:
            expect("classes", -1 if classes is None else classes.shape[0], count)
            seqs.classes = &classes[0]
        else:
            expect("target", -1 if target is None else target.shape[0], count)
            expect("target", target.shape[1], self.net.outputs)
            seqs.target = pointer(target)
        return 0

    def forward(
        self, Batch batch not None, real[:, ::1] y not None, real[:, ::1] hidden,
        real[:, ::1] final, *, threads=1,
    ):
        """Outputs into y (B or rows, K), states into hidden (rows, H) and final (B, H).
        Rows of steps that do not count are left alone.  Returns the faults met."""
        cdef Plan plan
        cdef Sequences seqs = batch.seqs
        expect("y", y.shape[0], batch.rows if self.net.every_step else seqs.count)
        expect("y", y.shape[1], self.net.outputs)
        seqs.y = &y[0, 0]
        if hidden is not None:
            expect("hidden", hidden.shape[0], batch.rows)
            expect("hidden", hidden.shape[1], self.net.hidden)
            seqs.hidden = &hidden[0, 0]
        if final is not None:
            expect("final", final.shape[0], seqs.count)
            expect("final", final.shape[1], self.net.hidden)
            seqs.final = &final[0, 0]
        self.prepare(&plan, batch, seqs.count, False, False)
        self.run(&plan, &seqs, NULL, threads)
        return plan.faults

    def loss(
        self, Batch batch not None, const real[:, ::1] target, const int64_t[::1] classes, *,
        threads=1,
    ):
        """(mean loss, faults); the loss is NaN where no target counts."""
        cdef Plan plan
        cdef Sequences seqs = batch.seqs
        cdef double count
        self.set_targets(&seqs, batch, target, classes)
        self.prepare(&plan, batch, seqs.count, False, False)
        count = count_targets(&plan.net, &seqs, 0, seqs.count)
        self.run(&plan, &seqs, NULL, threads)
        return plan.loss / count if count else float("nan"), plan.faults

    def gradient(
        self, Batch batch not None, const real[:, ::1] target, const int64_t[::1] classes,
        const real[:, ::1] dy, real[::1] grad not None, real[:, ::1] dx=None,
        real[:, ::1] dh0=None, *, threads=1,
    ):
        """Gradients added to grad (flat) and written to dx (rows, D) and dh0 (B, H), of the
        loss against the targets or, given dy (B or rows, K), of sum(dy * y).

        Returns (mean loss, faults).
        """
        cdef Plan plan
        cdef Sequences seqs = batch.seqs
        cdef double count = 1
        expect("grad", grad.shape[0], self.net.size)
        if dy is None:
            self.set_targets(&seqs, batch, target, classes)
            count = count_targets(&self.net, &seqs, 0, seqs.count)
        else:
            expect("dy", dy.shape[0], batch.rows if self.net.every_step else seqs.count)
            expect("dy", dy.shape[1], self.net.outputs)
            seqs.dy = pointer(dy)
        if dx is not None:
            if batch.x is None:
                raise ValueError("dx: tokens have no gradient")
            expect("dx", dx.shape[0], batch.rows)
            expect("dx", dx.shape[1], self.net.inputs)
            seqs.dx = &dx[0, 0]
        if dh0 is not None:
            expect("dh0", dh0.shape[0], seqs.count)
            expect("dh0", dh0.shape[1], self.net.hidden)
            seqs.dh0 = &dh0[0, 0]
        self.prepare(&plan, batch, seqs.count, True, dx is not None)
        plan.scale = 1 / count if count else 0
        self.run(&plan, &seqs, &grad[0], threads)
        return plan.loss / count if count else float("nan"), plan.faults


include "fit.pxi"
include "probes.pxi"


def evaluate(str name not None, const real[::1] x not None, real[::1] out not None):
    """One of the core's own functions, element by element: "exp", "log" (x >= 1), "log1p"
    (0 <= x <= 1), "tanh", "logistic", and the slopes "dtanh" and "dlogistic"."""
    cdef Py_ssize_t i = 0, j, n = x.shape[0]
    cdef real chunk[MAX_LANES]
    cdef vreal a, y, slope
    cdef int which = ["exp", "log", "log1p", "tanh", "logistic", "dtanh", "dlogistic"].index(name)
    expect("out", out.shape[0], n)
    with nogil:
        while i < n:
            for j in range(LANES):
                chunk[j] = x[min(i + j, n - 1)]
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
                out[i + j] = chunk[j]
            i += LANES
