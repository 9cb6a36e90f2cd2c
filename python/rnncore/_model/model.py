"""A network as the package's own modules use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model import parameters
from rnncore._model.cells import Cell
from rnncore._model.configuration import zoneout_of
from rnncore._model.parameters import Shapes
from rnncore._model.spec import Spec, spec_of
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._core_base_f32 import Engine, Stream


class Model:
    """Configuration, parameters and compiled objects of a network, without its public methods.

    For the package itself: a network has it as ``net._model``, and everything that works on a
    network works on this. Only the values of the parameters ever change.

    Parameters
    ----------
    cell : Cell
    config : dict
        As `rnncore._model.configuration.checked` returns it.
    flat : ndarray, optional
        All parameters in one vector, which the network then shares; without it, a new one.

    Attributes
    ----------
    cell : Cell
        What the configuration makes of the one that was passed.
    config : dict
        As passed.
    spec : Spec
        Sizes, precision and loss.
    flat : ndarray
        All parameters in one vector, the one that the core works on. Without values at first.
    parameters : dict of str to ndarray
        The parameters by name, views into ``flat``.
    engine : Engine
        The core's functions on batches of sequences.
    stream : Stream
        The core's functions for one step, or some steps, of one stream or many.
    """

    __slots__ = ("cell", "config", "engine", "flat", "parameters", "spec", "stream")

    def __init__(self, cell: Cell, config: dict[str, Any], flat: Array | None = None) -> None:
        shapes = parameters.parameter_shapes(cell, config)
        size = parameters.total(shapes)
        if size > 2**40:
            raise ValueError(
                f"hidden_size: expected a network that fits in memory, got {size:.3g} parameters"
            )
        self.cell, self.config = cell.of(config), config
        self.spec: Spec = spec_of(cell, config)
        self.flat: Array = np.empty(size, self.spec.dtype) if flat is None else flat
        self.parameters: dict[str, Array] = parameters.views(self.flat, shapes)
        self.engine: Engine = self._new_engine()
        self.stream: Stream = self.spec.core.Stream(self.engine)

    def _new_engine(self) -> Engine:
        spec, config = self.spec, self.config
        engine: Engine = spec.core.Engine(
            self.flat,
            self.parameters,
            spec.input_size,
            spec.hidden_size,
            spec.outputs,
            cell=self.cell.number,
            layers=config["num_layers"],
            bidirectional=config["bidirectional"],
            skip=config.get("skip") or 0,
            switching=spec.switching,
            bias=config["bias"],
            head=config["output_size"] is not None,
            head_bias=parameters.has_readout_bias(config),
            start=config["trainable_h0"],
            every_step=spec.every_step,
            before=spec.before,
            nonlinearity=spec.core.NONLINEARITIES[config.get("nonlinearity", "tanh")],
            loss=0 if spec.loss is None else spec.loss.number,
            dropout=config["dropout"],
            recurrent_dropout=config["recurrent_dropout"],
            zoneout=zoneout_of(config)[0],
            zoneout_c=zoneout_of(config)[1],
        )
        return engine

    @property
    def shapes(self) -> Shapes:
        """The shapes of the parameters by name, in the order of `flat`."""
        return {name: values.shape for name, values in self.parameters.items()}

    def changed(self, **config: Any) -> Model:
        """A new model of the same cell in which some of the configuration is different. Its
        parameters have no values yet."""
        return Model(self.cell, {**self.config, **config})

    def in_float64(self) -> Model:
        """The same network in float64, with a copy of the parameters."""
        model = self.changed(dtype="float64")
        model.flat[:] = self.flat
        return model

    def check_not_switching(self, who: str) -> None:
        """Raise a ValueError where every token has recurrent weights of its own."""
        if self.spec.switching:
            raise ValueError(f"{who}: expected a network with switching=False, got switching=True")

    def check_finite(self) -> None:
        """Raise a ValueError where a parameter is not finite."""
        for name, values in self.parameters.items():
            check.all_finite(f"parameters()[{name!r}]", values)


class HasModel(Protocol):
    """A network, for the functions that are its methods."""

    _model: Model
