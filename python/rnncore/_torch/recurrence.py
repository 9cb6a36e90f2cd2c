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
        self.start = self.length = self.order = self.where = None
        self.swapped = sizes is None and not batch_first
        if sizes is None:
            self.count, self.time = data.shape[0], data.shape[1]
            if self.swapped:
                self.count, self.time = self.time, self.count
            return
        # Row offset[t] + s of a packed sequence is step t of its s-th longest sequence.
        steps = sizes.numpy()
        self.count, self.time = int(steps[0]), len(steps)
        self.length = (steps > np.arange(self.count)[:, None]).sum(axis=1, dtype=np.int64)
        self.start = np.cumsum(self.length) - self.length
        self.order = np.arange(self.count - 1, -1, -1, dtype=np.int64)  # short ones first
        offset = np.cumsum(steps) - steps
        of_sequence = np.repeat(np.arange(self.count), self.length)
        step = np.arange(len(of_sequence)) - self.start[of_sequence]
        self.where = torch.from_numpy(offset[step] + of_sequence)

    def from_torch(self, data: torch.Tensor) -> Array:
        """As rows, (rows, features)."""
        if self.where is not None:
            data = data.index_select(0, self.where)
        elif self.swapped:
            data = data.transpose(0, 1)
        result: Array = data.contiguous().numpy()
        return result.reshape(-1, result.shape[-1])

    def to_torch(self, rows: Array) -> torch.Tensor:
        """As PyTorch has them."""
        tensor = torch.from_numpy(rows)
        if self.where is not None:
            return torch.empty_like(tensor).index_copy_(0, self.where, tensor)
        tensor = tensor.view(self.count, self.time, -1)
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
        with torch.no_grad():
            found = gradients(ctx, *upstream)
        if torch.is_grad_enabled():  # somebody wants to differentiate these
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
    model = layer._network._model
    core, spec = model.spec.core, model.spec
    batch = core.Batch(
        rows.count, rows.time, rows.from_torch(data.detach()), None, rows.start, rows.length,
        rows.order, None, *(state_rows(state) for state in states),
    )  # fmt: skip
    y = np.empty((batch.rows, spec.width), spec.dtype)
    shape = (rows.count, spec.state_rows, spec.hidden_size)
    last = [np.empty(shape, spec.dtype) for _ in range(spec.states)]
    final = (last[0], last[1] if spec.states == 2 else None)
    seed = tape = None
    if layer.training and layer.dropout and layer.num_layers > 1:
        seed = int(torch.randint(2**62, ()))
    if keep or seed is not None:
        tape = core.Tape(model.engine, batch, y, None, *final, threads=threads(), dropout_seed=seed)
        faults = tape.faults
    else:
        faults = model.engine.forward(batch, y, None, *final, threads())
    if faults:
        refuse_not_finite(input=data, **dict(zip(("hx", "cx"), states, strict=False)))
    finals = (torch.from_numpy(s).transpose(0, 1).contiguous() for s in last)
    return (rows.to_torch(y), *finals), tape


def threads() -> int | None:
    """How many the core may use: chosen by it, unless PyTorch has one."""
    return None if torch.get_num_threads() > 1 else 1


def gradients(ctx: Any, dy: Any, *dlast: Any) -> list[torch.Tensor | None]:
    """With respect to the input, and to each of the states and weights."""
    spec, rows, given = ctx.spec, ctx.rows, ctx.given
    wants_x, wants_rest = ctx.needs_input_grad[2], ctx.needs_input_grad[4:]
    shape = (rows.count, spec.state_rows, spec.hidden_size)
    upstream: list[Array | None] = [None if dy is None else rows.from_torch(dy), None]
    dfinal = [None if d is None else state_rows(d) for d in dlast]
    if any(d is not None for d in dfinal):
        dfinal = [np.zeros(shape, spec.dtype) if d is None else d for d in dfinal]
    upstream += dfinal if spec.states == 2 else [dfinal[0], None]
    dx = np.empty((ctx.tape.rows, spec.input_size), spec.dtype) if wants_x else None
    dstates = [np.empty(shape, spec.dtype) for _ in range(given)]
    grads, faults = ctx.tape.pull(
        *upstream, dx, *dstates, *[None] * (2 - given),
        threads=threads(), params=any(wants_rest[given:]),
    )  # fmt: skip
    if faults:
        refuse_not_finite(**{"gradient of the output": dy}, **{
            f"gradient of {name}": d for name, d in zip(("h_n", "c_n"), dlast, strict=False)
        })  # fmt: skip
    found = [torch.from_numpy(d).transpose(0, 1).contiguous() for d in dstates]
    found += [None] * len(wants_rest[given:]) if grads is None else [
        torch.from_numpy(g) if wanted else None
        for g, wanted in zip(grads.values(), wants_rest[given:], strict=True)
    ]  # fmt: skip
    return [None if dx is None else rows.to_torch(dx), *found]


def state_rows(state: torch.Tensor) -> Array:
    """(layers times directions, B, H) as the core has it, (B, layers times directions, H)."""
    result: Array = state.detach().transpose(0, 1).contiguous().numpy()
    return result


def refuse_not_finite(**tensors: torch.Tensor | None) -> None:
    """Raise the error that names the tensor, the number and its place."""
    for name, tensor in tensors.items():
        if tensor is not None and not torch.isfinite(tensor).all():
            at = (~torch.isfinite(tensor)).nonzero()[0]
            raise ValueError(
                f"{name}: expected finite numbers, got {float(tensor[tuple(at)])} at {at.tolist()}"
            )
