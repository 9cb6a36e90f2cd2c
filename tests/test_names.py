"""Names that other libraries have for losses and the rest: the error says what is meant here."""

from functools import partial
from inspect import signature

import numpy as np
import pytest
from rnncore._checks import synonyms as _synonyms
from rnncore._model import configuration as _configuration
from rnncore._model import initial as _initial
from rnncore._networks import rnn as _rnn
from rnncore._runtime import builds as _builds

import rnncore as rc

FOREIGN_NAMES = {
    "loss": {
        "binary_crossentropy binary_cross_entropy bce_with_logits BCEWithLogitsLoss": "bce",
        "log_loss BCELoss logistic": "bce",
        "mean_squared_error l2 MSELoss nn.MSELoss": "mse",
        "categorical_crossentropy sparse_categorical_crossentropy": "cross_entropy",
        "nll softmax crossentropy CrossEntropyLoss": "cross_entropy",
        "mae rmse L1Loss foo": "; for a loss of your own see net.vjp",
    },
    "init": {
        "xavier glorot_uniform XavierUniform": "glorot",
        "eye": "identity",
        "he kaiming he_normal zeros lecun foo": "; for values of your own pass a mapping, or",
    },
    "nonlinearity": {
        "logistic": "sigmoid", "linear": "identity", "ReLU torch.relu": "relu", "Tanh": "tanh",
        "elu leaky_relu gelu logsigmoid hardtanh": "",
    },
    "readout": {
        "return_sequences many-to-many": "all", "many-to-one final lst": "last",
        "mean attention first": "; net(x).hidden has the states of every step",
    },
    "dtype": {
        "torch.float32 Float32": "float32",
        "float16 bfloat16 half int32": "; the core computes in no other precision",
    },
    "optimizer": {
        "Adam": "adam", "sgd_momentum": "momentum", "nag": "nesterov", "RMSProp": "rmsprop",
        "rprop adamax nadam asgd lbfgs": "; for updates of your own see net.loss_and_grad",
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("argument", "value", "end"),
    [
        (argument, value, end)
        for argument, table in FOREIGN_NAMES.items()
        for values, end in table.items()
        for value in values.split()
    ],
)
def test_names_of_other_libraries(argument, value, end):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    calls = {"optimizer": partial(net.fit, np.ones((2, 4, 3)), [0, 1], epochs=1)}
    call = calls.get(argument, partial(rc.RNN, 3, 2, 1))
    with pytest.raises(ValueError, match=f"^{argument}: expected one of") as error:
        call(**{argument: value})
    text = str(error.value)
    said = text.partition(", got '")[2].partition("'")[2]
    if end and not end.startswith(";"):
        assert said == f"; did you mean {end!r}?"
    else:
        assert said.startswith(end)
        assert "mean" not in said


def test_synonyms_are_of_names_that_exist():
    known = {
        "loss": _configuration.LOSSES, "readout": _configuration.READOUTS,
        "dtype": _configuration.DTYPES,
        "init": _initial.NAMES, "nonlinearity": _rnn.NONLINEARITIES,
        "optimizer": _builds.core("float32").OPTIMISERS,
        "argument": {
            name for cls in (rc.RNN, rc.LSTM, rc.GRU, rc.MGU) for name in signature(cls).parameters
        },
    }  # fmt: skip
    for argument, table in _synonyms.SYNONYMS.items():
        assert set(table) - {""} <= set(known[argument])
        others = [_synonyms.normalised(name) for names in table.values() for name in names.split()]
        assert len(set(others)) == len(others)
        assert set(others).isdisjoint(map(_synonyms.normalised, filter(None, known[argument])))


@pytest.mark.parametrize(
    ("cell", "name", "end"),
    [
        ("GRU", "units", "; did you mean 'hidden_size'?"), ("LSTM", "activation", ""),
        ("RNN", "activation", "; did you mean 'nonlinearity'?"), ("RNN", "batch_first", ""),
        ("MGU", "bidirectionl", "; did you mean 'bidirectional'?"), ("GRU", "skip", ""),
        ("LSTM", "n_layers", "; did you mean 'num_layers'?"),
    ],
)  # fmt: skip
def test_an_argument_that_a_network_does_not_have(cell, name, end):
    with pytest.raises(TypeError) as error:
        getattr(rc, cell)(3, 4, **{name: 2})
    assert str(error.value) == f"{cell}: there is no argument {name!r}{end}"
