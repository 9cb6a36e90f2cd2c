"""A network as a thing: what it was made with, its parameters, its copies and files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._data.inputs import Form, Inputs
from rnncore._model import initial, parameters
from rnncore._model.cells import CELLS
from rnncore._model.initial import Init
from rnncore._model.losses import LOSSES, Loss
from rnncore._model.parameters import Loaded, Parameters
from rnncore._runtime.builds import core
from rnncore._storage import files
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._core_base_f32 import Engine, Stream

READOUTS = ("last", "all")
DTYPES = ("float32", "float64")
MOST_LAYERS = 64  # of the core, both directions counted

#: Attributes that a copy makes anew from configuration and parameters.
REMADE = (
    "_config", "_shapes", "_flat", "_parameters", "_core", "_engine", "_stream",
    "_dtype", "_zero", "_loss", "_outputs", "_every_step", "_form", "_inputs",
)  # fmt: skip

#: Of saved files; raised when a reader of the old one would misunderstand the new.
FORMAT = 1


class Model:
    """Configuration and parameters of a network; see `rnncore.RNN` for what they mean."""

    _kind: ClassVar[str]  # the cell's name in the core and in files, also of derived classes
    #: By which first bias a cell keeps its state, the sign that does, and the state's name.
    _keeps: ClassVar[tuple[str, int, str] | None] = None
    _core: ModuleType
    _engine: Engine
    _stream: Stream
    _flat: Array
    _parameters: dict[str, Array]
    # What every call asks for, in plain attributes: looking one up through a property of the
    # configuration costs more than a step of a small network.
    _dtype: np.dtype[Any]
    _zero: Array
    _loss: Loss | None
    _outputs: int
    _every_step: bool
    _form: Form
    _inputs: Callable[..., Inputs]

    def __init__(
        self, config: dict[str, Any], seed: int | np.random.Generator | None,
        init: Init = "torch", init_scale: float = 1.0,
    ) -> None:  # fmt: skip
        outputs = config["output_size"]
        config = {
            "input_size": check.whole("input_size", config["input_size"], 1),
            "hidden_size": check.whole("hidden_size", config["hidden_size"], 1),
            "output_size": None if outputs is None else check.whole("output_size", outputs, 1),
            **self._check_cell(config),
            **check_stack(config),
            "bias": check.flag("bias", config["bias"]),
            "readout": check.choice("readout", config["readout"], READOUTS),
            "loss": check.choice("loss", config["loss"], [None, *LOSSES]),
            "dtype": dtype_name(config["dtype"]),
        }
        if config["loss"] is not None:
            check_outputs(LOSSES[config["loss"]], outputs or self._state_width(config), config)
        rng = check.generator("seed", seed)
        shapes = parameters.parameter_shapes(self._kind, config)
        size = parameters.total(shapes)
        if size > 2**40:
            raise ValueError(
                f"hidden_size: expected a network that fits in memory, got {size:.3g} parameters"
            )
        flat = np.empty(size, config["dtype"])
        initial.fill(parameters.views(flat, shapes), self._kind, init, init_scale, rng)
        self._config: dict[str, Any] = config
        self._shapes = shapes
        self._connect(flat)

    @staticmethod
    def _state_width(config: dict[str, Any]) -> int:
        """Numbers in the states that are read out."""
        directions = 2 if config["bidirectional"] else 1
        return directions * int(config["hidden_size"])

    def _check_cell(self, config: dict[str, Any]) -> dict[str, Any]:
        """What only some cells are made with."""
        return {}

    @staticmethod
    def _gates(of_x: Array, of_h: Array) -> dict[str, Array]:
        """A cell's gates by name, from W_ih x_t + b_ih and W_hh h_{t-1} + b_hh (..., gates H);
        none where there are no gates."""
        return {}

    @staticmethod
    def _next_memory(gates: dict[str, Array], c: Array) -> Array:
        """c_t of a cell that has it, from its gates and c_{t-1}."""
        raise NotImplementedError

    def _connect(self, flat: Array) -> None:
        """Make `flat` the parameters: views for Python, an engine for the core."""
        self._flat = flat
        self._parameters = parameters.views(flat, self._shapes)
        self._core = core(self._config["dtype"])
        self._dtype = flat.dtype
        self._zero = np.zeros((), flat.dtype)
        loss = self._config["loss"]
        self._loss = None if loss is None else LOSSES[loss]
        layers, bidirectional = self._config["num_layers"], self._config["bidirectional"]
        width, skip = self._state_width(self._config), self._config.get("skip")
        self._outputs = width if self.output_size is None else self.output_size
        self._every_step = self.readout == "all"
        self._form = Form(
            self._core, self._dtype, self.input_size, self.hidden_size, width,
            CELLS[self._kind].states, layers * (2 if bidirectional else 1), skip or 1,
            self._outputs, self._every_step, self._loss,
        )  # fmt: skip
        self._inputs = partial(Inputs, self._form)
        self._engine = self._core.Engine(
            flat,
            self._parameters,
            self.input_size,
            self.hidden_size,
            self._outputs,
            layers=layers,
            bidirectional=bidirectional,
            skip=skip or 0,
            dropout=self._config["dropout"],
            start=self._config["trainable_h0"],
            bias=self.bias,
            head=self.output_size is not None,
            every_step=self._every_step,
            cell=CELLS[self._kind].number,
            nonlinearity=self._core.NONLINEARITIES[self._config.get("nonlinearity", "tanh")],
            loss=0 if self._loss is None else self._loss.number,
        )
        self._stream = self._core.Stream(self._engine)

    # ---- what it is -----------------------------------------------------------------

    @property
    def input_size(self) -> int:
        """D, numbers per time step, or the size of the vocabulary."""
        return self._config["input_size"]  # type: ignore[no-any-return]

    @property
    def hidden_size(self) -> int:
        """H, hidden units."""
        return self._config["hidden_size"]  # type: ignore[no-any-return]

    @property
    def output_size(self) -> int | None:
        """K, outputs of the read-out; None where there is none."""
        return self._config["output_size"]  # type: ignore[no-any-return]

    @property
    def bias(self) -> bool:
        """Whether there are biases."""
        return self._config["bias"]  # type: ignore[no-any-return]

    @property
    def readout(self) -> str:
        """ "last" or "all"."""
        return self._config["readout"]  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return self._dtype

    @property
    def config(self) -> dict[str, Any]:
        """The arguments the network was made with, but for the seed."""
        return dict(self._config)

    def __repr__(self) -> str:
        sizes = ", ".join(
            str(self._config[k]) for k in ("input_size", "hidden_size", "output_size")
        )
        rest = ", ".join(f"{k}={v!r}" for k, v in list(self._config.items())[3:])
        return f"{type(self).__name__}({sizes}, {rest})  # {self._flat.size} parameters"

    def __getstate__(self) -> dict[str, Any]:
        rest = {name: value for name, value in vars(self).items() if name not in REMADE}
        return {"config": self._config, "flat": self._flat, "rest": rest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Model.__init__(self, state["config"], seed=0)
        self._flat[:] = state["flat"]
        vars(self).update(state["rest"])

    # ---- parameters -----------------------------------------------------------------

    @property
    def flat(self) -> Array:
        """All parameters in one vector, the one the core works on.

        Change it in place (``net.flat[:] = values``). It holds the arrays of `parameters`
        one after another, each in C order.
        """
        self._engine.note_exposure()
        return self._flat

    def parameters(self) -> dict[str, Array]:
        """Parameters by PyTorch's names: views into `flat`, so writing to them changes the net.

        Both ``p[name][:] = values`` and ``p[name] = values`` do; the latter checks name, shape and
        that the values are finite, with the errors of `load_state_dict`. Names can neither be
        added nor removed.

        Returns
        -------
        dict of str to ndarray
            ``weight_ih_l0`` (H, D), ``weight_hh_l0`` (H, H), ``weight_skip_l0`` (H, H),
            ``bias_ih_l0`` and ``bias_hh_l0`` (H,), and so on for ``_l1`` and, with the suffix
            ``_reverse``, for the reverse direction; ``head.weight`` (K, H or 2 H), ``head.bias``
            (K,); ``h0`` and ``c0`` (layers times directions, H): those the network has. With G
            gates G H stands for the first H.

        Examples
        --------
        >>> import rnncore as rc
        >>> net = rc.RNN(1, 1, 1, bias=False)
        >>> net.parameters()["weight_hh_l0"][:] = 1.0
        >>> net.parameters()["weight_ih_l0"] = [[2.0]]
        >>> net.flat[:2].tolist()
        [2.0, 1.0]
        """
        self._engine.note_exposure()
        return Parameters(self._parameters)

    def state_dict(self) -> dict[str, Array]:
        """Copies of the parameters by name, in the form `load_state_dict` takes.

        Examples
        --------
        >>> import rnncore as rc
        >>> sorted(rc.RNN(2, 3, bias=False).state_dict())
        ['weight_hh_l0', 'weight_ih_l0']
        """
        return {name: values.copy() for name, values in self._parameters.items()}

    def load_state_dict(
        self,
        state_dict: Mapping[str, npt.ArrayLike],
        strict: bool = True,
        prefix: str = "",
    ) -> Loaded:
        """Take parameters from a mapping of names to arrays, such as a torch state dict.

        Parameters
        ----------
        state_dict : mapping of str to array_like
            Arrays, or tensors of PyTorch: also those that require a gradient, are on another
            device, or are bfloat16.
        strict : bool
            Whether there must be an entry for every parameter and no other. Else parameters
            without an entry stay as they are, and other entries are left alone.
        prefix : str
            What the names begin with, such as ``"rnn."`` where the state dict is that of a module
            with an LSTM called ``rnn``. Entries whose names do not are left alone.

        Returns
        -------
        Loaded
            A named tuple ``(missing_keys, unexpected_keys)`` of lists of names, as from PyTorch;
            both empty with `strict`.

        Raises
        ------
        TypeError, ValueError
            Where entries are misshapen or not finite, or with `strict` missing or not expected.
            The network is then unchanged.
        RuntimeError
            While another thread uses the network; it is then unchanged.

        Examples
        --------
        >>> import rnncore as rc
        >>> net, other = rc.RNN(2, 3, seed=0), rc.RNN(2, 3, seed=1)
        >>> net.load_state_dict(other.state_dict())
        Loaded(missing_keys=[], unexpected_keys=[])
        >>> bool((net.flat == other.flat).all())
        True
        >>> module = {f"rnn.{name}": values for name, values in other.state_dict().items()}
        >>> module["out.bias"] = [0.5]
        >>> net.load_state_dict(module, prefix="rnn.")
        Loaded(missing_keys=[], unexpected_keys=[])
        """
        strict = check.flag("strict", strict)
        if not isinstance(prefix, str):
            raise TypeError(f"prefix: expected a str, got {check.kind(prefix)}")
        values, loaded = parameters.checked_state(
            state_dict, self._shapes, self.dtype, strict, prefix
        )
        flat, given = np.zeros_like(self._flat), np.zeros(self._flat.shape, np.uint8)
        views, where = (parameters.views(each, self._shapes) for each in (flat, given))
        for name, array in values.items():
            views[name][...], where[name][...] = array, 1
        self._engine.assign("load_state_dict", flat, given)
        return loaded

    def _check_parameters(self) -> None:
        """An error where a parameter is not finite."""
        for name, values in self._parameters.items():
            check.all_finite(f"parameters()[{name!r}]", values)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a file, from which `rnncore.load` makes it again.

        The file is an uncompressed ``.npz`` archive without pickled objects, or, where the name
        ends in ``.safetensors``, one of that format (for which the package safetensors has to be
        installed), with the configuration in its metadata. It is written whole or not at all. The
        name is taken as it is, but not with an ending of another format, such as ``.onnx`` or
        ``.pt``. An object of a derived class comes back as the network it is derived from.

        Raises
        ------
        OSError
            Where the file cannot be written, or there is a folder, a pipe or a device of that
            name; what was there is still there.
        ImportError
            Where the package safetensors is wanted and not installed.
        ValueError
            Where a parameter is not finite, or the name says that it is another kind of file.

        Examples
        --------
        >>> import os, tempfile, rnncore as rc
        >>> net = rc.RNN(2, 3, 1, loss="mse", seed=0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.save(os.path.join(folder, "net.npz"))
        ...     copy = rc.load(os.path.join(folder, "net.npz"))
        >>> bool((copy.flat == net.flat).all())
        True
        """
        self._check_parameters()
        header = {"format": FORMAT, "class": self._kind, "config": self._config}
        files.write(path, header, self._parameters)


def check_stack(config: dict[str, Any]) -> dict[str, Any]:
    """How layers are put together."""
    bidirectional = check.flag("bidirectional", config["bidirectional"])
    most = MOST_LAYERS // 2 if bidirectional else MOST_LAYERS
    layers = check.whole("num_layers", config["num_layers"], 1, most)
    dropout = check.number("dropout", config["dropout"], 0, 1, above=False)
    if dropout and layers == 1:
        raise ValueError(
            f"dropout: expected 0 with num_layers=1, got {dropout!r}: it acts between layers"
        )
    return {
        "num_layers": layers,
        "bidirectional": bidirectional,
        "dropout": dropout,
        "trainable_h0": check.flag("trainable_h0", config["trainable_h0"]),
    }


def check_outputs(loss: Loss, outputs: int, config: dict[str, Any]) -> None:
    """Whether so many outputs go with a loss."""
    if loss.classes and config["dtype"] == "float32":
        check.whole("output_size", outputs, 1, 2**24)  # the core compares class numbers as reals
    if outputs % loss.outputs:
        raise ValueError(
            f"output_size: expected a multiple of {loss.outputs} for loss={loss.name!r}, which "
            f"takes {loss.outputs} outputs for each target, got {outputs}"
        )


def dtype_name(dtype: Any) -> str:
    try:
        name = None if dtype is None else np.dtype(dtype).name
    except Exception:  # numpy's, or the object's own
        name = dtype if isinstance(dtype, str) else check.shown(dtype)
    return check.choice("dtype", name, DTYPES)  # type: ignore[no-any-return]
