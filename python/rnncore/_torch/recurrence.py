"""A layer's steps as one node of PyTorch's graph, and its tensors as the core's arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rnncore._types import Array


class Rows:
    """Between the steps of a tensor, in PyTorch's order, and rows in the core's: sequence after
    sequence."""

    def __init__(self, data: torch.Tensor, sizes: torch.Tensor | None, batch_first: bool) -> None:
        self.start = self.length = self.order = self.where = self.back = None
        self.swapped = sizes is None and not batch_first
        if sizes is None:
            self.count, self.time = data.shape[0], data.shape[1]
            if self.swapped:
                self.count, self.time = self.time, self.count
            return
        # A packed sequence has step after step, of each the sequences that have it, longest first.
        steps = sizes.numpy()
        self.count, self.time = int(steps[0]), len(steps)
        sequence = np.arange(self.count)[:, None]
        there = sequence < steps
        self.length = there.sum(axis=1, dtype=np.int64)
        self.start = np.cumsum(self.length) - self.length
        self.order = np.arange(self.count - 1, -1, -1, dtype=np.int64)  # short ones first
        row = (np.cumsum(steps) - steps + sequence)[there]
        back = np.empty_like(row)
        back[row] = np.arange(len(row))
        self.where, self.back = torch.from_numpy(row), torch.from_numpy(back)

    def from_torch(self, data: torch.Tensor) -> Array:
        """(B, T, features), or of a packed sequence (rows, features)."""
        if self.where is not None:
            data = data.index_select(0, self.where)
        elif self.swapped:
            data = data.transpose(0, 1)
        result: Array = data.contiguous().numpy()
        return result

    def to_torch(self, values: Array) -> torch.Tensor:
        """As PyTorch has what `from_torch` gives."""
        tensor = torch.from_numpy(values)
        if self.where is not None:
            return tensor.index_select(0, self.back)
        return tensor.transpose(0, 1).contiguous() if self.swapped else tensor


class Recurrence(torch.autograd.Function):
    """All steps of a layer as one node of PyTorch's graph."""

    @staticmethod
    def forward(
        ctx: Any, layer: Any, rows: Rows, data: torch.Tensor, given: int, *tensors: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        outputs, ctx.tape = run(layer, rows, data, tensors[:given], keep=True)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(next(t for t in (data, *tensors) if t.requires_grad))
        ctx.rows, ctx.spec, ctx.given = rows, layer._network._model.spec, given
        return outputs

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> tuple[Any, ...]:
        if not torch.is_grad_enabled():
            found = gradients(ctx, *upstream)
        else:  # somebody wants to differentiate these
            with torch.no_grad():
                found = gradients(ctx, *upstream)
            there = [k for k, gradient in enumerate(found) if gradient is not None]
            once = Once.apply(*ctx.saved_tensors, *(found[k] for k in there))
            for k, gradient in zip(there, once, strict=True):
                found[k] = gradient
        return None, None, found[0], None, *found[1:]


class Once(torch.autograd.Function):
    """Gradients as they are, which depend on a tensor in a way that cannot be differentiated.
    (Without, they would look like constants, and a Hessian like zero.)"""

    @staticmethod
    def forward(ctx: Any, on: torch.Tensor, *gradients: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(gradient.clone() for gradient in gradients)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        raise RuntimeError(
            "rnncore.torch: the backward pass of a recurrent layer cannot be differentiated; for "
            "second derivatives use the layer of torch.nn"
        )


def run(
    layer: Any, rows: Rows, data: torch.Tensor, states: tuple[torch.Tensor, ...], keep: bool
) -> tuple[tuple[torch.Tensor, ...], Any]:
    """The layer's outputs and last states; and its tape, with `keep`."""
    model, seed = layer._network._model, None
    if layer.training and layer.dropout and layer.num_layers > 1:
        seed = int(torch.randint(2**62, ()))
    x = rows.from_torch(data.detach())
    first = [state_rows(state) for state in states]
    done = None
    if rows.where is None and seed is None:
        core, engine, h0 = model.spec.core, model.engine, of_parts(first)
        if keep:
            done = core.plain_linearize(engine, x, h0, None, None, None, threads(), False)
        else:
            plain = core.plain_forward(engine, x, h0, None, None, threads(), True)
            done = None if plain is None else (plain, None)
    if done is None:
        done, faults = run_in_rows(model, rows, x, first, keep, seed)
        if faults:
            refuse_not_finite(input=data, **dict(zip(("hx", "cx"), states, strict=False)))
    (y, _, final), tape = done
    last = final if isinstance(final, tuple) else (final,)
    return (rows.to_torch(y), *map(state_tensor, last)), tape


def run_in_rows(
    model: Any, rows: Rows, x: Array, states: list[Array], keep: bool, seed: int | None
) -> Any:
    """((y, None, last states), tape), faults: of packed sequences too, and with dropout."""
    core, spec = model.spec.core, model.spec
    batch = core.Batch(
        rows.count, rows.time, x.reshape(-1, x.shape[-1]), None, rows.start, rows.length,
        rows.order, None, *states,
    )  # fmt: skip
    y = np.empty((batch.rows, spec.width), spec.dtype)
    shape = (rows.count, spec.state_rows, spec.hidden_size)
    last = [np.empty(shape, spec.dtype) for _ in range(spec.states)]
    final = (last[0], last[1] if spec.states == 2 else None)
    tape = None
    if keep or seed is not None:
        tape = core.Tape(model.engine, batch, y, None, *final, threads=threads(), dropout_seed=seed)
        faults = tape.faults
    else:
        faults = model.engine.forward(batch, y, None, *final, threads())
    y = y.reshape(*x.shape[:-1], -1)
    return ((y, None, of_parts(last)), tape), faults


def of_parts(parts: list[Array]) -> Any:
    """A state, if there is one, as rnncore has it: an array, of an LSTM a pair."""
    return tuple(parts) if len(parts) > 1 else parts[0] if parts else None


def threads() -> int | None:
    """How many the core may use: chosen by it, unless PyTorch has one."""
    return None if torch.get_num_threads() > 1 else 1


def gradients(ctx: Any, dy: Any, *dlast: Any) -> list[torch.Tensor | None]:
    """With respect to the input, and to each of the states and weights."""
    spec, rows, given, tape = ctx.spec, ctx.rows, ctx.given, ctx.tape
    wants_x, wants_rest = ctx.needs_input_grad[2], ctx.needs_input_grad[4:]
    params = any(wants_rest[given:])
    upstream = None if dy is None else rows.from_torch(dy)
    dfinal = [None if d is None else state_rows(d) for d in dlast]
    if any(d is not None for d in dfinal):
        shape = (rows.count, spec.state_rows, spec.hidden_size)
        dfinal = [np.zeros(shape, spec.dtype) if d is None else d for d in dfinal]
    found = None
    if rows.where is None:
        final = None if dfinal[0] is None else of_parts(dfinal)  # type: ignore[arg-type]
        found = spec.core.plain_pull(tape, upstream, None, final, threads(), wants_x, params)
    if found is None:
        found, faults = pull_in_rows(ctx, upstream, dfinal, wants_x, params)
        if faults:
            refuse_not_finite(**{"gradient of the output": dy}, **{
                f"gradient of {name}": d for name, d in zip(("h_n", "c_n"), dlast, strict=False)
            })  # fmt: skip
    grads, dx, dstates = found
    parts = dstates if isinstance(dstates, tuple) else (dstates,)
    result = [state_tensor(d) for d in parts[:given]]
    result += [None] * len(wants_rest[given:]) if grads is None else [
        torch.from_numpy(g) if wanted else None
        for g, wanted in zip(grads.values(), wants_rest[given:], strict=True)
    ]  # fmt: skip
    return [rows.to_torch(dx) if wants_x else None, *result]


def pull_in_rows(
    ctx: Any, dy: Array | None, dfinal: list[Array | None], wants_x: bool, params: bool
) -> Any:
    """(gradients by name, dx, gradients of states), faults: of packed sequences too."""
    spec, tape = ctx.spec, ctx.tape
    dx = np.empty((tape.rows, spec.input_size), spec.dtype) if wants_x else None
    shape = (ctx.rows.count, spec.state_rows, spec.hidden_size)
    dstates = [np.empty(shape, spec.dtype) for _ in range(spec.states)]
    pad = [None] * (2 - spec.states)
    grads, faults = tape.pull(
        None if dy is None else dy.reshape(-1, spec.width), None, *dfinal, *pad, dx, *dstates, *pad,
        threads=threads(), params=params,
    )  # fmt: skip
    if dx is not None and ctx.rows.where is None:
        dx = dx.reshape(ctx.rows.count, ctx.rows.time, -1)
    return (grads, dx, tuple(dstates)), faults


def state_rows(state: torch.Tensor) -> Array:
    """(layers times directions, B, H) as the core has it, (B, layers times directions, H)."""
    result: Array = state.detach().transpose(0, 1).contiguous().numpy()
    return result


def state_tensor(state: Array) -> torch.Tensor:
    """The same the other way round."""
    return torch.from_numpy(state).transpose(0, 1).contiguous()


def refuse_not_finite(**tensors: torch.Tensor | None) -> None:
    """Raise the error that names the tensor, the number and its place."""
    for name, tensor in tensors.items():
        if tensor is not None and not torch.isfinite(tensor).all():
            at = (~torch.isfinite(tensor)).nonzero()[0]
            raise ValueError(
                f"{name}: expected finite numbers, got {float(tensor[tuple(at)])} at {at.tolist()}"
            )
