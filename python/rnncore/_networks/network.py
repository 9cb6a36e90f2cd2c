"""What all networks have in common."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, TypedDict

import numpy as np
import numpy.typing as npt

from rnncore._calls import (
    curvature,
    generate,
    gradients,
    linearize,
    per_sample,
    running,
    streaming,
    streams,
)  # fmt: skip
from rnncore._checks import arguments as check
from rnncore._diagnostics import fixed_points, flow, jacobians, lyapunov, tracing
from rnncore._model import initial, pruning, state
from rnncore._model.cells import Cell
from rnncore._model.configuration import checked
from rnncore._model.initial import Init
from rnncore._model.model import Model
from rnncore._networks import summary
from rnncore._storage import saving, to_torch
from rnncore._training import fitting, objectives, online, stepping
from rnncore._types import Array


class Common(TypedDict, total=False):
    """The arguments that all classes of networks have; see `rnncore.RNN`."""

    num_layers: int
    bidirectional: bool
    dropout: float
    recurrent_dropout: float
    zoneout: float | tuple[float, float]
    switching: bool
    bias: bool
    readout_bias: bool | None
    readout: str
    loss: str | None
    init: Init
    init_scale: float
    dtype: npt.DTypeLike
    trainable_h0: bool
    seed: int | np.random.Generator | None


class Network:
    """A recurrent network with an optional linear read-out and loss; see `rnncore.RNN`.

    Each method is a function in the module for its subject. What all of them work on is in
    ``_model``: configuration, parameters, and the objects of the compiled core.
    """

    _cell: ClassVar[Cell]
    _model: Model

    # Running it on sequences, and step by step
    __call__ = running.__call__
    predict = running.predict
    predict_proba = running.predict_proba
    step = streaming.step
    run_stream = streaming.run_stream
    streams = streams.streams
    generate = generate.generate

    # Losses and gradients
    loss = gradients.loss
    loss_and_grad = gradients.loss_and_grad
    per_sample_grad = per_sample.per_sample_grad
    hvp = curvature.hvp
    vjp = linearize.vjp
    linearize = linearize.linearize

    # Training
    fit = fitting.fit
    trainer = stepping.trainer
    online = online.online
    objective = objectives.objective

    # Inspection
    gradient_flow = flow.gradient_flow
    trace = tracing.trace
    jacobian = jacobians.jacobian
    fixed_points = fixed_points.fixed_points
    lyapunov = lyapunov.lyapunov

    # Parameters and files
    parameters = state.parameters
    state_dict = state.state_dict
    load_state_dict = state.load_state_dict
    prune = pruning.prune
    save = saving.save
    to_torch = to_torch.to_torch

    # In notebooks
    _repr_html_ = summary._repr_html_

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, float] = 0.0,
        switching: bool = False,
        bias: bool = True,
        readout_bias: bool | None = None,
        readout: str = "last",
        loss: str | None = None,
        init: Init = "torch",
        init_scale: float = 1.0,
        dtype: npt.DTypeLike = "float32",
        trainable_h0: bool = False,
        seed: int | np.random.Generator | None = None,
        _of_cell: Mapping[str, Any] = MappingProxyType({}),
        **unknown: Any,
    ) -> None:
        for name in unknown:
            raise check.no_argument(type(self), name)
        config = {
            "input_size": input_size, "hidden_size": hidden_size, "output_size": output_size,
            "num_layers": num_layers, "bidirectional": bidirectional, "dropout": dropout,
            "recurrent_dropout": recurrent_dropout, "zoneout": zoneout, "switching": switching,
            "trainable_h0": trainable_h0, "bias": bias, "readout_bias": readout_bias,
            "readout": readout, "loss": loss, "dtype": dtype, **_of_cell,
        }  # fmt: skip
        config = checked(self._cell, config)
        rng = check.generator("seed", seed)
        self._model = Model(self._cell, config)
        initial.fill(self._model, init, init_scale, rng)

    def __init_subclass__(cls, **options: Any) -> None:
        """Show in the signature of a class also the arguments that its constructor passes on."""
        super().__init_subclass__(**options)
        own = inspect.signature(cls.__init__).parameters
        if any(p.kind is p.VAR_KEYWORD for p in own.values()):
            every = own | inspect.signature(Network.__init__).parameters
            shown = [p for name, p in every.items() if name not in ("self", "_of_cell")]
            named = [p for p in shown if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
            named.sort(key=lambda p: p.kind)
            cls.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]

    # ---- what it is -----------------------------------------------------------------

    @property
    def input_size(self) -> int:
        """D, the numbers per time step, or the size of the vocabulary."""
        return self._model.spec.input_size

    @property
    def hidden_size(self) -> int:
        """H, the hidden units."""
        return self._model.spec.hidden_size

    @property
    def output_size(self) -> int | None:
        """K, the outputs of the read-out; None if there is none."""
        return self._model.config["output_size"]  # type: ignore[no-any-return]

    @property
    def bias(self) -> bool:
        """Whether the recurrent layers have biases."""
        return self._model.config["bias"]  # type: ignore[no-any-return]

    @property
    def readout_bias(self) -> bool:
        """Whether there is a read-out that has a bias."""
        return "head.bias" in self._model.parameters

    @property
    def readout(self) -> str:
        """ "last", "all" or "before"."""
        return self._model.config["readout"]  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._model.spec.dtype

    @property
    def config(self) -> dict[str, Any]:
        """The arguments the network was made with, except those for its initial parameters."""
        return dict(self._model.config)

    @property
    def flat(self) -> Array:
        """All parameters in one vector, the one the core works on.

        Change it in place (``net.flat[:] = values``). It has the arrays of `parameters` one after
        another, each in C order.
        """
        self._model.engine.note_exposure()
        return self._model.flat

    def __repr__(self) -> str:
        config = self._model.config
        sizes = ", ".join(str(config[k]) for k in ("input_size", "hidden_size", "output_size"))
        rest = ", ".join(f"{k}={v!r}" for k, v in list(config.items())[3:])
        return f"{type(self).__name__}({sizes}, {rest})  # {self._model.flat.size} parameters"

    # ---- copies ---------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """What `pickle` and `copy` keep: the model's objects of the core are made anew."""
        rest = {name: value for name, value in vars(self).items() if name != "_model"}
        return {"config": self._model.config, "flat": self._model.flat, "rest": rest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._model = Model(self._cell, checked(self._cell, state["config"]))
        self._model.flat[:] = state["flat"]
        vars(self).update(state["rest"])
