"""Networks to and from Keras: outputs agree in both directions, and what cannot cross is named."""

import numpy as np
import pytest

import rnncore as rc

keras = pytest.importorskip("keras")
import rnncore.keras  # noqa: E402

layers = keras.layers
# keras itself asks numpy for arrays in a way that is going out of use
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def draw(seed):
    """A network that Keras can express, and a batch."""
    rng = np.random.default_rng(seed)

    def one_in(n):
        return bool(rng.integers(n) == 0)

    kind = [rc.RNN, rc.LSTM, rc.GRU, rc.GRU][rng.integers(4)]
    options = {
        "num_layers": int(rng.integers(1, 4)), "bidirectional": one_in(2), "bias": not one_in(4),
        "readout": str(rng.choice(["last", "all"])),
        "dtype": "float32" if keras.backend.backend() == "jax" else str(rng.choice(DTYPES)),
    }  # fmt: skip
    if kind is rc.RNN:
        options["nonlinearity"] = str(rng.choice(["tanh", "relu", "sigmoid", "identity"]))
    if kind is rc.GRU:
        options["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
        options["reset"] = str(rng.choice(["after", "before"]))
    if options["num_layers"] > 1 and one_in(2):
        options["dropout"] = 0.25
    D, H, K = (int(n) for n in rng.integers(1, 6, 3))
    K = None if one_in(4) else K
    if K is not None and one_in(3):
        options["readout_bias"] = not options["bias"]
    net = kind(D, H, K, **options, seed=rng)
    return net, rng.standard_normal((3, 6, D)).astype(net.dtype), rng


DTYPES = ["float32", "float64"]


def outputs(model, x):
    y = model(x, training=False)
    return np.asarray(y.detach() if hasattr(y, "detach") else y)


def close(a, b):
    """Of a float64 model too: with torch, keras forms some products of it in float32."""
    return a.shape == b.shape and np.abs(a - b).max() < 1e-5 * max(1, np.abs(b).max())


@pytest.mark.parametrize("seed", range(60))
def test_keras_gives_the_outputs_of_the_network_and_back(seed):
    net, x, _ = draw(seed)
    model = rnncore.keras.to_keras(net)
    assert close(outputs(model, x), net(x).y)
    other = rnncore.keras.load(model)
    assert other.config == net.config | {"dropout": 0.0}
    assert close(other(x).y, net(x).y)
    for name, values in net.parameters().items():
        if "bias_" not in name:
            assert (other.parameters()[name] == values).all()


@pytest.mark.parametrize("seed", range(0, 60, 4))
def test_masked_steps(seed):
    net, x, rng = draw(seed)
    net = type(net)(**net.config | {"readout": "last"}, init=net.state_dict())
    mask = rng.random(x.shape[:2]) < 0.6
    mask[:, 2] = True
    model = rnncore.keras.to_keras(net, mask_value=-7)
    assert type(model.layers[0]).__name__ == "Masking"
    marked = np.where(mask[..., None], x, -7).astype(x.dtype)
    assert close(outputs(model, marked), net(x, mask=mask).y)
    assert rnncore.keras.load(model).config == net.config | {"dropout": 0.0}


CELLS = {
    "SimpleRNN": [{}, {"activation": "relu"}, {"use_bias": False}],
    "LSTM": [{}, {"use_bias": False}, {"dropout": 0.3, "recurrent_dropout": 0.2}],
    "GRU": [{}, {"reset_after": False}, {"use_bias": False}, {"activation": "relu"}],
}


def model_of(kind, bidirectional=False, every=False, head=None, units=4, count=2, **options):
    """Layers of Keras with weights that are not their first ones."""
    model = keras.Sequential([keras.Input((None, 3)), layers.Masking(0.0)])
    for k in range(count):
        layer = getattr(layers, kind)(units, return_sequences=every or k < count - 1, **options)
        model.add(layers.Bidirectional(layer) if bidirectional else layer)
    if head is not None:
        model.add(head)
    rng = np.random.default_rng(0)
    model.set_weights([rng.standard_normal(w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


X = np.random.default_rng(1).standard_normal((4, 7, 3)).astype(np.float32)


@pytest.mark.parametrize(("kind", "options"), [(k, o) for k in CELLS for o in CELLS[k]], ids=str)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_models_of_keras(kind, options, bidirectional, tmp_path):
    for every, head in ((False, layers.Dense(2)), (True, None)):
        model = model_of(kind, bidirectional, every, head, **options)
        net = rnncore.keras.load(model)
        expected = outputs(model, X)
        assert close(net(X).y, expected)
        model.save(tmp_path / "model.keras")
        assert (rnncore.keras.load(tmp_path / "model.keras").flat == net.flat).all()
        model.save_weights(tmp_path / "model.weights.h5")
        given = {"readout": net.readout}
        if "activation" in options:
            given["nonlinearity"] = options["activation"]
        other = rnncore.keras.load(tmp_path / "model.weights.h5", **given)
        assert net.config["recurrent_dropout"] == options.get("recurrent_dropout", 0)
        assert other.config == net.config | {"recurrent_dropout": 0.0}  # of which a file is silent
        assert (other.flat == net.flat).all()


def test_a_deep_model_from_a_file_of_weights(tmp_path):
    """Keras counts layers: after layer 9 comes 10."""
    model = model_of("GRU", count=12, head=layers.Dense(1))
    model.save_weights(tmp_path / "deep.weights.h5")
    net = rnncore.keras.load(tmp_path / "deep.weights.h5")
    assert close(net(X).y, outputs(model, X))


@pytest.mark.parametrize(
    ("activation", "loss", "units"), [("sigmoid", "bce", 1), ("softmax", "cross_entropy", 3)]
)
def test_a_head_with_probabilities(activation, loss, units):
    model = model_of("LSTM", head=layers.Dense(units, activation=activation))
    net = rnncore.keras.load(model)
    assert net.config["loss"] == loss
    assert close(net.predict_proba(X).reshape(4, -1)[:, -units:], outputs(model, X))


def test_functional_time_distributed_and_stateful_models():
    source = keras.Input((7, 3), batch_size=4)
    states = layers.GRU(4, return_sequences=True, stateful=True, name="first")(source)
    model = keras.Model(source, layers.TimeDistributed(layers.Dense(2))(states))
    outputs(model, X)
    kept = [np.asarray(state) for state in model.get_layer("first").states]
    net = rnncore.keras.load(model)
    assert all(
        (np.asarray(a) == b).all()
        for a, b in zip(model.get_layer("first").states, kept, strict=True)
    )
    assert any(state.any() for state in kept)
    model.get_layer("first").reset_states()
    assert close(net(X).y, outputs(model, X))


BAD = [
    (
        [layers.GRU(4, go_backwards=True, name="a")],
        "the layer 'a' of type GRU: expected go_backwards",
    ),
    (
        [layers.LSTM(4, recurrent_activation="hard_sigmoid")],
        "recurrent_activation sigmoid, got hard",
    ),
    ([layers.GRU(4, activation="elu")], "expected activation tanh or relu, got elu"),
    ([layers.Bidirectional(layers.GRU(4), merge_mode="sum")], "merge_mode='concat', got 'sum'"),
    ([layers.GRU(4, return_sequences=True), layers.LSTM(4)], "expected type 'GRU' as of the layer"),
    ([layers.GRU(4, return_sequences=True), layers.GRU(5)], "expected units 4 as of the layer"),
    ([layers.Conv1D(4, 2), layers.GRU(4)], "of type Conv1D: expected SimpleRNN, LSTM, GRU"),
    ([layers.GRU(4), layers.Dense(2, "relu")], "activation linear, sigmoid or softmax, got relu"),
    ([layers.GRU(4), layers.Dense(2), layers.Dense(1)], "nothing after the read-out, got another"),
    ([layers.Dense(2)], "expected SimpleRNN, LSTM, GRU, Bidirectional, Masking or a last Dense"),
    ([layers.Masking()], "model: expected SimpleRNN, LSTM or GRU layers, got none"),
]


@pytest.mark.parametrize(("parts", "text"), BAD)
def test_layers_that_a_network_does_not_have_are_refused_by_name(parts, text):
    with pytest.raises(ValueError, match=f"model: .*{text}|{text}"):
        rnncore.keras.load(keras.Sequential([keras.Input((None, 3)), *parts]))


def test_other_functions_of_the_input_are_refused():
    source = keras.Input((None, 3))
    states = layers.GRU(3, return_sequences=True)(source)
    skipping = layers.GRU(4)(layers.Add()([states, source]))
    with pytest.raises(ValueError, match="of type Add: expected SimpleRNN, LSTM, GRU"):
        rnncore.keras.load(keras.Model(source, skipping))
    shared = layers.GRU(3, return_sequences=True)
    with pytest.raises(ValueError, match="expected a chain of its layers, got another function"):
        rnncore.keras.load(keras.Model(source, shared(shared(source))))


REFUSED = [
    (lambda: rnncore.keras.to_keras(rc.MGU(2, 3)), ValueError, "net: expected an RNN, LSTM or GRU"),
    (lambda: rnncore.keras.to_keras(rc.RNN(2, 3, skip=2)), ValueError, "net: expected skip=None"),
    (
        lambda: rnncore.keras.to_keras(rc.GRU(2, 3, trainable_h0=True)),
        ValueError,
        "net: expected trainable_h0=False, got True",
    ),
    (
        lambda: rnncore.keras.to_keras(rc.RNN(2, 3, readout="before")),
        ValueError,
        "net: expected readout='last' or 'all', got 'before'",
    ),
    (lambda: rnncore.keras.to_keras(3), TypeError, "net: expected a network of rnncore"),
    (
        lambda: rnncore.keras.to_keras(rc.RNN(2, 3), mask_value="a"),
        TypeError,
        "mask_value: expected",
    ),
    (lambda: rnncore.keras.load(3), TypeError, "model: expected a file's path, got 3"),
    (lambda: rnncore.keras.load("/no/file.keras"), FileNotFoundError, "file.keras"),
    (
        lambda: rnncore.keras.load(model_of("GRU"), readout="all"),
        ValueError,
        "readout: expected None, as the model says it itself",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSED)
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_files_that_are_none(tmp_path):
    for name in ("a.keras", "a.weights.h5"):
        (tmp_path / name).write_bytes(b"no model")
        with pytest.raises(ValueError, match=r"model: expected .* of Keras, got"):
            rnncore.keras.load(tmp_path / name)
