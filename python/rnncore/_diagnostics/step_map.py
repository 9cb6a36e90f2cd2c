"""One step of a network as a map of states: its values, its Jacobian, its range.

Here a state is one vector of n numbers: the rows of h (of every layer, and with a skip connection
of every step that the next one needs), of an LSTM followed by those of c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._calls.linearize import linearized
from rnncore._checks import arguments as check
from rnncore._data.inputs import Inputs, as_index
from rnncore._model.model import Model
from rnncore._types import Array, State

#: States are stepped so many at a time that their Jacobians have about so many numbers.
MOST_NUMBERS = 1 << 22


class StepMap:
    """h -> the state after one step from h, of a network in float64.

    Attributes
    ----------
    n : int
        Numbers of a state.
    """

    def __init__(self, model: Model, who: str) -> None:
        if model.config["bidirectional"]:
            raise ValueError(
                f"{who}: expected a network with bidirectional=False; with True, there is no "
                "step from one state to the next"
            )
        model.check_finite()
        self.model = model.in_float64()
        self.spec = self.model.spec
        self.rows = (self.spec.state_rows, self.spec.hidden_size)
        self.n = self.spec.states * self.rows[0] * self.rows[1]

    # ---- states as vectors ----------------------------------------------------------

    def state_of(self, vectors: Array) -> State:
        """Vectors (..., n) as ``h0=`` takes them: (..., rows, H), of an LSTM a pair."""
        parts = np.split(vectors, self.spec.states, axis=-1)
        parts = [part.reshape(*part.shape[:-1], *self.rows) for part in parts]
        return parts[0] if len(parts) == 1 else (parts[0], parts[1])

    def vectors_of(self, state: State) -> Array:
        """The same the other way round."""
        parts = list(state) if isinstance(state, tuple) else [state]
        flat = [part.reshape(*part.shape[:-2], self.n // len(parts)) for part in parts]
        return np.concatenate(flat, axis=-1)

    def checked_state(self, name: str, given: Any) -> Array:
        """States as a caller passes them, (..., H) where there is one row, else (..., rows, H), as
        vectors (..., n)."""
        if self.spec.states == 1:
            return self._checked_part(name, given)
        parts = check.items(name, given) if isinstance(given, list | tuple) else []
        if len(parts) != 2:
            raise TypeError(f"{name}: expected a pair (h, c) for an LSTM, got {check.kind(given)}")
        h, c = (self._checked_part(f"{name}[{k}]", part) for k, part in enumerate(parts))
        check.same_shape(f"{name}[1]", c, h.shape)
        return np.concatenate([h, c], axis=-1)

    def _checked_part(self, name: str, given: Any) -> Array:
        values, (R, H) = check.array(name, given), self.rows
        end = (H,) if R == 1 else (R, H)
        if values.shape[-len(end) :] != end:
            raise ValueError(f"{name}: expected {check.shapes(('...', *end))}, got {values.shape}")
        check.all_finite(name, values)
        return values.astype(float).reshape(*values.shape[: values.ndim - len(end)], R * H)

    def checked_input(self, name: str, given: Any) -> Array:
        """The input of one step: (D,) floats, or a token as an integer without axes."""
        return self.checked_inputs(name, given, ()).reshape(np.shape(given))

    def checked_inputs(self, name: str, given: Any, lead: tuple[int, ...]) -> Array:
        """The inputs of states (*lead, n), one for all or one for each, as rows of floats (N, D) or
        as tokens (N,)."""
        x, D = check.array(name, given), self.spec.input_size
        shapes = [] if self.spec.switching else list(dict.fromkeys([(D,), (*lead, D)]))
        tokens = x.dtype.kind in "iu" and x.shape in {(), lead}
        if tokens and x.shape in shapes and D > 1:
            raise ValueError(
                f"{name}: expected the {D} numbers of one input or {D} tokens, got {x.shape} of "
                f"{x.dtype}, which may be either; pass floats for numbers"
            )
        if tokens and x.shape not in shapes:
            check.within(name, "tokens", x, 0, D - 1)
            return as_index(np.array(np.broadcast_to(x, lead))).reshape(-1)
        if self.spec.switching:
            expected = check.shapes(*dict.fromkeys([(), lead]))
            raise TypeError(
                f"{name}: expected integer tokens, {expected}, of a network with switching=True, "
                f"got {x.shape} of {x.dtype}"
            )
        check.same_shape(name, x, *shapes, hint=f" of {x.dtype}")
        check.all_finite(name, x)
        return np.broadcast_to(x.astype(float), (*lead, D)).reshape(-1, D)

    # ---- steps ----------------------------------------------------------------------

    def __call__(self, vectors: Array, x: Array) -> Array:
        """The states (N, n) after one step from vectors (N, n) with inputs (N, D), or (N,)
        tokens."""
        if not len(vectors):
            return vectors.copy()
        inputs = self._inputs(vectors, x)
        y, final = inputs.new_outputs(), inputs.new_final()
        self.model.engine.forward(
            inputs.batch, y.reshape(-1, self.spec.outputs), None, *inputs.parts(final)
        )
        return self.vectors_of(inputs.state_of(final))

    def linearized(self, vectors: Array, x: Array) -> tuple[Array, Array]:
        """The same and the Jacobians (N, n, n): row i is the gradient of the i-th number of the new
        state, by a backward pass."""
        N, n = vectors.shape
        after, jacobians = np.empty((N, n)), np.empty((N, n, n))
        size = max(1, MOST_NUMBERS // (n * n))
        for start in range(0, N, size):
            some = slice(start, start + size)
            inputs = self._inputs(vectors[some], x[some])
            out, pull = linearized(self.model, inputs)
            after[some] = self.vectors_of(out.final)
            unit = np.zeros((inputs.count, n))
            for i in range(n):
                unit[:, i] = 1
                rows = pull(dfinal=self.state_of(unit), dx=False, params=False)[2]
                jacobians[some, i] = self.vectors_of(rows)
                unit[:, i] = 0
        return after, jacobians

    def _inputs(self, vectors: Array, x: Array) -> Inputs:
        return Inputs(self.spec, np.ascontiguousarray(x[:, None]), self.state_of(vectors))

    def range(self) -> tuple[Array, Array]:
        """Between which numbers every state lies after enough steps: (n,) and (n,), infinite where
        there is no bound."""
        name = self.model.config.get("nonlinearity", "tanh")
        low, high = {
            "tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0), "relu": (0.0, np.inf),
            "identity": (-np.inf, np.inf),
        }[name]  # fmt: skip
        lower, upper = np.full(self.n, low), np.full(self.n, high)
        if self.spec.states == 2:  # of c there is no bound that does not depend on the gates
            lower[self.n // 2 :], upper[self.n // 2 :] = -np.inf, np.inf
        return lower, upper


def repeated(x: Array, count: int) -> Array:
    """One input for so many states."""
    return np.broadcast_to(x, (count, *x.shape))
