"""Networks to and from Keras 3: SimpleRNN, LSTM, GRU, Bidirectional, Masking and a Dense read-out.

Needs the package keras with one of its backends: ``pip install rnncore[keras]``.

Examples
--------
>>> import numpy as np, rnncore as rc, rnncore.keras
>>> net = rc.GRU(3, 4, 2, bidirectional=True, seed=0)
>>> model = rnncore.keras.to_keras(net)
>>> [type(layer).__name__ for layer in model.layers]
['Bidirectional', 'Dense']
>>> bool((rnncore.keras.load(model).flat == net.flat).all())
True
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._networks.gru import GRU
from rnncore._networks.lstm import LSTM
from rnncore._networks.network import Network
from rnncore._networks.rnn import RNN

try:
    import keras
except ImportError as error:
    raise ImportError(
        f"rnncore.keras: expected the package keras and one of its backends to be installed: "
        f"pip install rnncore[keras] ({error})"
    ) from None

from rnncore._keras.layers import ACTIVATIONS, CLASSES, SUFFIXES, network_of, swapped
from rnncore._keras.models import LOSSES, check_outputs, parts_of
from rnncore._keras.weights import network_of_weights

__all__ = ["load", "to_keras"]


def load(
    model: Any,
    *,
    loss: str | None = None,
    nonlinearity: str | None = None,
    reset: str | None = None,
    readout: str | None = None,
) -> Network:
    """A network from a model of Keras, or from a file of one.

    Its outputs are compared on random numbers before it is returned.

    Parameters
    ----------
    model : keras.Model, str or path-like
        A built model, a ``.keras`` file, or a ``.weights.h5`` file.
    loss : str, optional
        As for `rnncore.RNN`. By default "bce" or "cross_entropy" where the last layer has a sigmoid
        or softmax: the network's outputs are logits, and `predict_proba` is what the model gives.
    nonlinearity, reset, readout : str, optional
        For a file of weights, which does not say what they are: by default "tanh", "last" and, of a
        GRU without biases, "after".

    Returns
    -------
    RNN, LSTM or GRU
        Masking layers say which steps count; a call of the network is told by ``mask=``.
        ``recurrent_dropout`` is the network's where all layers have the same; other dropout and the
        state of a stateful layer are left behind.

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError, ValueError
        If the model has something that a network does not have: the error names the layer.
    """
    given = {"nonlinearity": nonlinearity, "reset": reset, "readout": readout}
    given = {name: value for name, value in given.items() if value is not None}
    if not isinstance(model, keras.Model):
        path = check.path(model, "model")
        with open(path, "rb"):  # an OSError names the file
            pass
        if path.endswith(".weights.h5"):
            return network_of_weights(path, loss, given)
        try:
            model = keras.saving.load_model(path, compile=False)
        except Exception as error:  # of any kind, from a file that is none
            raise ValueError(f"model: expected a file of Keras, got {path!r}: {error}") from error
    if given:
        raise ValueError(f"{next(iter(given))}: expected None, as the model says it itself")
    layers, head = parts_of(model)
    readout = "all" if layers[-1].every_step else "last"
    if loss is None and head is not None:
        loss = LOSSES[head.activation]
    net = network_of(layers, head, readout, loss)
    check_outputs(net, model, head)
    return net


def to_keras(net: Network, *, mask_value: float | None = None) -> Any:
    """A built ``keras.Sequential`` with the parameters of a network, in its precision.

    Parameters
    ----------
    net : RNN, LSTM or GRU
        Without a skip connection, zoneout and ``trainable_h0``. Its two biases become one where
        Keras has one.
    mask_value : float, optional
        With it a Masking layer comes first: steps of which all inputs are that number do not count.
        With ``readout="all"`` Keras repeats its output there, where the network gives zeros.

    Returns
    -------
    keras.Sequential
        Its input is (batch, time, D), its outputs are the y of the network: logits. Between layers
        are Dropout layers where the network has dropout. ``recurrent_dropout`` is that of the
        layers, which in a GRU of Keras also drops units of the state that is carried on.

    Raises
    ------
    TypeError, ValueError
        The error names the argument and what Keras does not have.

    Examples
    --------
    >>> import numpy as np, rnncore as rc, rnncore.keras
    >>> net = rc.LSTM(3, 4, 1, num_layers=2, seed=0)
    >>> model = rnncore.keras.to_keras(net)
    >>> x = np.zeros((2, 5, 3), np.float32)
    >>> bool(np.allclose(model.predict(x, verbose=0), net(x).y, atol=1e-6))
    True
    """
    check_expressible(net)
    spec, config, p = net._model.spec, net._model.config, net._model.parameters
    net._model.check_finite()
    dtype = spec.dtype.name
    model = keras.Sequential([keras.Input((None, spec.input_size), dtype=dtype)])
    if mask_value is not None:
        value = check.number("mask_value", mask_value, -np.inf, above=True)
        model.add(keras.layers.Masking(value, dtype=dtype))
    for k in range(config["num_layers"]):
        top = k == config["num_layers"] - 1
        model.add(keras_layer(net, k, spec.every_step or not top, dtype))
        if config["dropout"] and not top:
            model.add(keras.layers.Dropout(config["dropout"], dtype=dtype))
    if "head.weight" in p:
        biased = "head.bias" in p
        model.add(keras.layers.Dense(spec.outputs, use_bias=biased, dtype=dtype, name="head"))
        model.layers[-1].kernel.assign(p["head.weight"].T)
        if biased:
            model.layers[-1].bias.assign(p["head.bias"])
    return model


def check_expressible(net: Any) -> None:
    """Raise an error where Keras has no layers for a network."""
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a network of rnncore, got {check.kind(net)}")
    if not isinstance(net, RNN | LSTM | GRU):
        name = net._cell.name
        raise ValueError(
            f"net: expected an RNN, LSTM or GRU, got an {name}: Keras has no such layer"
        )
    config = net.config
    refused = {
        "skip": (None,), "trainable_h0": (False,), "update": ("n",), "zoneout": (0.0,),
        "switching": (False,),
    }  # fmt: skip
    for option, known in {**refused, "readout": ("last", "all")}.items():
        if config.get(option, known[0]) not in known:
            expected = " or ".join(repr(value) for value in known)
            raise ValueError(
                f"net: expected {option}={expected}, got {config[option]!r}: Keras has no such "
                "layer"
            )


def keras_layer(net: Network, k: int, every_step: bool, dtype: str) -> Any:
    """The k-th layer, with its weights."""
    config, spec, p = net._model.config, net._model.spec, net._model.parameters
    kind = next(name for name, cls in CLASSES.items() if isinstance(net, cls))
    biased = f"bias_ih_l{k}" in p
    options = {
        "use_bias": biased, "return_sequences": every_step, "dtype": dtype,
        "recurrent_dropout": config["recurrent_dropout"],
    }  # fmt: skip
    if kind != "LSTM":
        names = {ours: theirs for theirs, ours in ACTIVATIONS.items()}
        options["activation"] = names[config["nonlinearity"]]
    if kind == "GRU":
        options["reset_after"] = config["reset"] == "after"
    layer = getattr(keras.layers, kind)(spec.hidden_size, **options, name=f"layer_{k}")
    if spec.directions == 2:
        layer = keras.layers.Bidirectional(layer, dtype=dtype, name=f"layer_{k}")
    layer.build((None, None, p[f"weight_ih_l{k}"].shape[1]))
    halves = (layer.forward_layer, layer.backward_layer) if spec.directions == 2 else (layer,)
    for half, end in zip(halves, SUFFIXES, strict=False):
        cell = half.cell
        cell.kernel.assign(swapped(kind, p[f"weight_ih_l{k}{end}"]).T)
        cell.recurrent_kernel.assign(swapped(kind, p[f"weight_hh_l{k}{end}"]).T)
        if biased:
            both = [swapped(kind, p[f"bias_{of}_l{k}{end}"]) for of in ("ih", "hh")]
            cell.bias.assign(np.stack(both) if len(cell.bias.shape) == 2 else both[0] + both[1])
    return layer
