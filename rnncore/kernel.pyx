"""The compiled core, one build of it: this source is compiled once per precision and
instruction set (see setup.py), and ``rnncore._runtime.builds`` picks the one to use.

Entry points take arrays as typed memoryviews, check their sizes, release the GIL, and hand
the loops plain buffers.  Checks that need names and explanations are left to the Python side,
which also sees to it that nobody else holds the arrays of indices it passes.
"""

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.number cimport PyNumber_Index
from libc.math cimport INFINITY, NAN, exp, fmax, isfinite, log, sqrt
from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport free, qsort
from libc.string cimport memcmp, memcpy, memmove, memset

from rnncore.cells.cell cimport (
    Cell, blocks_of_a, gates_of, gates_of_state, input_block, state_block,
)
from rnncore.cells.elman cimport IDENTITY, RELU, SIGMOID, TANH, Nonlinearity, elman_units, nonlinear
from rnncore.cells.table cimport describe
from rnncore.duals.cells.table cimport describe as describe_dual
from rnncore.duals.losses.table cimport describe_loss as describe_dual_loss
from rnncore.losses.loss cimport Loss
from rnncore.losses.table cimport describe_loss
from rnncore.optimisers.optimiser cimport (
    MOST_STATES, Coefficients, Optimiser, Rule, set_coefficients,
)
from rnncore.optimisers.table cimport describe_rule
from rnncore.optimisers.update cimport norm_of, update
from rnncore.platform.atomics cimport (
    count_of, forks, look_again, shared_add, shared_int, shared_read, shared_swap, shared_write,
    users_of, watch_forks,
)
from rnncore.products.lanes_of_sequences cimport (
    CHUNK, affine, affine_panels, contract, lanes_to_rows, pack, pack_by,
)
from rnncore.products.lanes_of_units cimport (
    affine_units, pack_blocks, pack_units, padded, units_tile,
)
from rnncore.products.outer_sums cimport Entries, entries_of, outer_sum, row_sums
from rnncore.products.weights cimport DUAL, OF_LANE, OF_VECTOR, SHARED, Weights, add_sum
from rnncore.simd.lanes cimport (
    LANES, MANY, flush_subnormals, real, real_fma, restore_subnormals, vadd, vexp, vfma, vgates,
    vless, vload, vload_any, vlog, vlog1p_unit, vlogistic, vmask, vmul, vreal, vselect, vset1,
    vstore, vstore_any, vsub, vsum, vtanhs, vtranspose,
)
from rnncore.spec.layout cimport (
    bias_sums, carve, carve_reals, choose_block, lay_out_room, lay_out_tape, lay_out_weights,
    most_rows, sum_width, tape_rows,
)
from rnncore.spec.network cimport (
    BAD_INPUT, BAD_TARGET, BAD_TOKEN, Network, Sequences, history, is_random, matrices,
    state_rows, target_size, target_width, zones_out,
)
from rnncore.spec.parameters cimport place_parameters
from rnncore.spec.plan cimport (
    MAX_LANES, MOST_PASSES, Block, Feed, Job, Layer, Plan, Result, after, before, each, goes_back,
    gradients_at, has_duals, has_plain_backward, has_state_gradients, index_read, is_scalar,
    mask_of, memory, model_of, most_in_block, needs_mask_first, saved_at, saved_state, set_lanes,
    set_seeds, slot_of, state, sums_gradients, tape_index, top_layer,
)
from rnncore.platform.random cimport next_random, shuffle, uniform

from _thread import start_new_thread
from queue import SimpleQueue

cdef extern from "platform/clock.h":
    double seconds_now() nogil

cdef extern from "platform/memory.h":
    void* aligned_block(size_t size, char** aligned)
    void poison(void* memory, size_t size)

cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX

watch_forks()

# From here on every file may use those before it.
include "platform/arena.pxi"

include "sequence/rows.pxi"
include "sequence/opening.pxi"
include "sequence/gather.pxi"
include "sequence/targets.pxi"
include "sequence/scalar.pxi"
include "sequence/truncate.pxi"
include "sequence/products.pxi"
include "sequence/skip.pxi"
include "sequence/draws.pxi"
include "sequence/noise.pxi"
include "sequence/switching.pxi"
include "sequence/units_packing.pxi"
include "sequence/units_forward.pxi"
include "sequence/units_outputs.pxi"
include "sequence/units_backward.pxi"
include "sequence/forward.pxi"
include "sequence/narrow.pxi"
include "sequence/backward.pxi"
include "sequence/stack.pxi"
include "sequence/upstream.pxi"
include "sequence/packing.pxi"
include "sequence/feedback.pxi"
include "sequence/block.pxi"
include "sequence/order.pxi"
include "sequence/chunks.pxi"
include "sequence/work.pxi"

include "sequence/memory.pxi"
include "sequence/thread_pool.pxi"

include "bindings/arrays.pxi"
include "bindings/plain_arrays.pxi"
include "bindings/tables.pxi"
include "bindings/batch.pxi"
include "bindings/engine.pxi"
include "bindings/linearize.pxi"
include "bindings/plain_calls.pxi"
include "bindings/plain_linearize.pxi"
include "bindings/evaluate.pxi"

include "training/progress.pxi"
include "training/feedback.pxi"
include "training/updates.pxi"
include "training/fit.pxi"
include "training/steps.pxi"
include "training/population.pxi"
include "training/orders.pxi"
include "training/cohort.pxi"
include "training/train.pxi"

include "diagnostics/flow.pxi"
include "diagnostics/terms.pxi"
include "diagnostics/per_sample.pxi"
include "diagnostics/curvature.pxi"
include "diagnostics/probes.pxi"

include "streaming/packed_units.pxi"
include "streaming/stream.pxi"
include "streaming/generate.pxi"
include "streaming/environment.pxi"
include "streaming/stream_calls.pxi"
include "streaming/influence.pxi"
include "streaming/rank_one.pxi"
include "streaming/online_memory.pxi"
include "streaming/online.pxi"
