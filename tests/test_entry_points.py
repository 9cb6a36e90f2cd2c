"""The core checks types, sizes and indices itself: whatever calls it, no memory but that of the
arrays it was given is touched."""

import re

import numpy as np
import pytest
from rnncore._runtime import builds as _builds

F32 = np.float32
B, T, D, H, K = 4, 5, 3, 2, 1
X = np.zeros((B * T, D), F32)
Y = np.zeros((B, K), F32)
STATE = np.zeros((B, 1, H), F32)
TOKENS = np.zeros(B * T, np.int64)
ORDER = np.arange(B)
LOCKED = np.zeros((B, K), F32)
LOCKED.setflags(write=False)
PLAIN = {
    "cell": 0, "layers": 1, "bidirectional": False, "skip": 0, "switching": False, "bias": True,
    "head": True, "head_bias": True, "start": False, "every_step": False,
    "before": False, "nonlinearity": 0, "loss": 0,
    "dropout": 0, "recurrent_dropout": 0, "zoneout": 0, "zoneout_c": 0,
}  # fmt: skip
SIZE = H * D + H * H + 2 * H + K * H + K
GIVEN = np.ones(SIZE, np.uint8)


def engine(core, flat=None, outputs=K, views=None, **options):
    flat = np.zeros(SIZE, F32) if flat is None else flat
    return core.Engine(flat, views or {}, D, H, outputs, **PLAIN | options)


def misaligned(array):
    """A copy whose numbers do not begin at a multiple of their size."""
    memory = np.zeros(array.nbytes + 1, np.uint8)
    result = memory[1:].view(array.dtype).reshape(array.shape)
    result[...] = array
    return result


def batch(core, x=X, tokens=None, time=T, **options):
    return core.Batch(B, time, x, tokens, **options)


def ragged(core):
    return batch(core, start=T * ORDER, length=np.array([5, 4, 5, 5]))


def forward(core, y=Y, hidden=None, final=None, final_c=None, net=None, **options):
    return engine(core, **net or {}).forward(batch(core, **options), y, hidden, final, final_c)


def loss(core, target=Y, classes=None, loss=2, weight=None, losses=None):
    return engine(core, loss=loss).loss(batch(core), target, classes, weight, 1, losses)


def vjp(core, given=None, net=None, tape=False, **arrays):
    """Of any arrays; with `tape` by way of one."""
    names = "dy", "dhidden", "dfinal", "dfinal_c", "dx", "dh0", "dc0"
    given, net = given or batch(core), engine(core, **net or {})
    arrays = [arrays.get(name) for name in names]
    if tape:
        return core.Tape(net, given, Y.copy(), None, None, None).pull(*arrays)
    return core.vjp(net, given, *arrays)


def lstm():
    """What makes the engine an LSTM's."""
    return {"cell": 1, "flat": np.zeros(4 * (SIZE - K * H - K) + K * H + K, F32)}


def switching(**options):
    """What makes the engine a switching network's."""
    return {"switching": True, "flat": np.zeros(SIZE + 2 * (H * H + H), F32), **options}


def terms(core, given, order=ORDER, terms=None, squares=None, dy=None):
    terms = np.zeros((T, SIZE), F32) if terms is None else terms
    squares = np.zeros((1, T + 1, 3)) if squares is None else squares
    return core.terms(engine(core, loss=2), given, Y, None, None, dy, order, 1.0, terms, squares)


def jacobians(core, order=ORDER, which=0, out=None, given=None):
    out = np.zeros((T, len(order), H, H), F32) if out is None else out
    return core.jacobians(engine(core), given or batch(core), order, which, out, None)


def per_sample(core, grads=None, losses=None, target=Y, weight=None, net=None, **options):
    grads = np.zeros((B, SIZE), F32) if grads is None else grads
    losses = np.zeros(B) if losses is None else losses
    made = engine(core, **{"loss": 2} | (net or {}))
    return core.per_sample(
        made, batch(core), target, None, weight, grads, losses, mean=True, **options
    )


RULE = {
    "rule": 0, "momentum": 0, "alpha": 0, "beta1": 0, "beta2": 0, "eps": 0, "clip_norm": 0,
    "clip_value": 0, "decay": None, "l1": None, "free": None, "leader": None, "activation": 0,
    "truncate": 0, "seed": 0,
}  # fmt: skip


def trainer(core, order=ORDER, size=2, **options):
    chosen = {"shuffled": False, "held": None, "patience": 0, "plateau": (0, 0, 0, 0)}
    net = engine(core, loss=2)
    return core.Trainer(net, batch(core), Y, None, None, order, size, **RULE | chosen | options)


def stepper(core, loss=2, **options):
    return core.StepTrainer(engine(core, loss=loss), 0, rate=0, **RULE | options)


def step(core, given, target=Y, classes=None, weight=None, loss=2):
    return stepper(core, loss).step(given, target, classes, weight)


def learner(core, method="rtrl", number=None, **net):
    options = {name: RULE[name] for name in RULE if name not in ("activation", "truncate")}
    net = engine(core, **{"loss": 2, "every_step": True} | net)
    return core.Online(net, core.ONLINE_METHODS.get(method, number), rate=0, **options)


def placed(core, influence, direction, method="uoro"):
    learner(core, method).place(X[0, :2].copy(), None, influence, direction, 0)


def held(core, order=ORDER, y=Y, weight=None):
    return core.Held(engine(core, loss=2), batch(core), y, None, weight, order)


def restored(core, **change):
    fit = trainer(core)
    fit.restore(fit.state() | change)


def generated(core, last=2, net=None, state=STATE, **arrays):
    """Two steps of four streams, with tokens or without."""
    given = {
        "y": Y.copy(), "seeds": None, "next_tokens": np.zeros(4, "i8"),
        "tokens": np.zeros((4, 2), "i8"), "logs": np.zeros((4, 2)), "outputs": None,
    } | arrays  # fmt: skip
    stream, y = core.Stream(engine(core, **net or {})), given.pop("y")
    return stream.generate(0, last, y, state, 1.0, *given.values())


BAD = [
    (lambda c: engine(c, np.zeros(SIZE - 1, F32)), f"flat: expected size {SIZE}"),
    (lambda c: engine(c, np.zeros(SIZE)), "Buffer dtype mismatch, expected 'real'"),
    (lambda c: engine(c, layers=65), "layers: expected up to 64 in all, got 65"),
    (lambda c: engine(c, layers=0), "layers: expected up to 64 in all, got 0"),
    (lambda c: engine(c, np.zeros(14, F32), 1, head=False), "outputs: expected size 2, got 1"),
    (lambda c: c.Batch(0, T, X, None), "a batch needs sequences, steps, and either x or tokens"),
    (lambda c: batch(c, tokens=TOKENS), "a batch needs sequences, steps, and either x or tokens"),
    (lambda c: batch(c, X[:, ::-1]), "ndarray is not C-contiguous"),
    (lambda c: batch(c, X.astype(">f4")), "Big-endian buffer not supported on little-endian"),
    (lambda c: batch(c, X[None]), "Buffer has wrong number of dimensions (expected 2, got 3)"),
    (lambda c: batch(c, misaligned(X)), "x: expected an aligned array"),
    (lambda c: batch(c, None, misaligned(TOKENS)), "tokens: expected an aligned array"),
    (lambda c: forward(c, h0=misaligned(STATE)), "h0: expected an aligned"),
    (lambda c: batch(c, None, TOKENS.astype("i4")), "Buffer dtype mismatch, expected 'const"),
    (lambda c: batch(c, time=T + 1), "rows: expected size 24, got 20"),
    (lambda c: batch(c, mask=np.ones(16, np.uint8)), "mask: expected size 20 along axis 0, got 16"),
    (lambda c: batch(c, start=ORDER), "start and length go together"),
    (lambda c: batch(c, start=ORDER, length=ORDER), "sequence 0: its rows are not among"),
    (lambda c: batch(c, start=ORDER - 1, length=ORDER + 1), "sequence 0: its rows are not among"),
    (lambda c: batch(c, start=6 * ORDER, length=ORDER + 1), "sequence 3: its rows are not among"),
    (lambda c: batch(c, start=ORDER, length=2 * ORDER + 1), "sequence 3: its rows are not among"),
    (lambda c: batch(c, order=ORDER + 1), "order: no sequence 4"),
    (lambda c: batch(c, order=ORDER - 1), "order: no sequence -1"),
    (lambda c: forward(c, LOCKED), "buffer source array is read-only"),
    (lambda c: forward(c, Y[:3].copy()), "y: expected size 4 along axis 0, got 3"),
    (lambda c: forward(c, hidden=np.zeros((B, H), F32)), "hidden: expected size 20"),
    (lambda c: forward(c, final=STATE[:2].copy()), "final: expected size 4 along axis 0, got 2"),
    (lambda c: forward(c, final=STATE, net=lstm()), "final_c: expected an array, got None"),
    (lambda c: forward(c, net=switching()), "x: expected tokens with switching"),
    (lambda c: forward(c, net=switching(flat=None)), "flat: expected size"),
    (lambda c: engine(c, **switching(layers=2)), "switching: expected one layer"),
    (lambda c: engine(c, **switching(bidirectional=True)), "switching: expected one layer"),
    (lambda c: engine(c, **switching(skip=1)), "switching: expected one layer"),
    (lambda c: forward(c, h0=STATE, net=lstm()), "c0: expected an array, got None"),
    (lambda c: forward(c, h0=STATE[:3].copy()), "h0: expected size 4 along axis 0, got 3"),
    (lambda c: forward(c, x=X[:, :2].copy()), "x: expected size 3 along axis 1, got 2"),
    (lambda c: loss(c, loss=0), "this network has no loss"),
    (lambda c: loss(c, None), "target: expected an array, got None"),
    (lambda c: loss(c, Y[:3].copy()), "target: expected size 4 along axis 0, got 3"),
    (lambda c: loss(c, Y[:3].copy(), loss=3), "target: expected size 4 along axis 0, got 3"),
    (lambda c: loss(c, np.zeros((4, K + 1), F32), loss=3), "target: expected size 1 along"),
    (lambda c: loss(c, classes=ORDER[:3].copy(), loss=3), "classes: expected size 4"),
    (lambda c: loss(c, weight=Y[:3].copy()), "weight: expected size 4 along axis 0, got 3"),
    (lambda c: loss(c, losses=Y[:3].copy()), "losses: expected size 4 along axis 0, got 3"),
    (lambda c: loss(c, losses=LOCKED), "buffer source array is read-only"),
    (lambda c: vjp(c, dy=Y[:3].copy()), "dy: expected size 4 along axis 0, got 3"),
    (lambda c: vjp(c, dx=X[:3].copy()), "dx: expected size 20 along axis 0, got 3"),
    (lambda c: vjp(c, dh0=STATE[:3].copy()), "dh0: expected size 4 along"),
    (lambda c: vjp(c, dh0=STATE, net=lstm()), "dc0: expected an array, got None"),
    (lambda c: vjp(c, dhidden=X, tape=True), "dhidden: expected size 2 along axis 1"),
    (lambda c: vjp(c, dfinal=STATE[:3].copy(), tape=True), "dfinal: expected size 4 along axis 0"),
    (lambda c: vjp(c, dfinal=STATE, net=lstm()), "dfinal_c: expected an array, got None"),
    (lambda c: vjp(c, batch(c, None, TOKENS), dx=X), "dx: tokens have no gradient"),
    (lambda c: vjp(c, batch(c, None, TOKENS), dx=X, tape=True), "dx: tokens have no gradient"),
    (lambda c: terms(c, ragged(c)), "order: expected sequences of one length"),
    (lambda c: per_sample(c, np.zeros((B, SIZE + 1), F32)), f"grads: expected size {SIZE} along"),
    (lambda c: per_sample(c, np.zeros((B + 1, SIZE), F32)), "grads: expected size 4 along axis 0"),
    (lambda c: per_sample(c, np.zeros((B, SIZE))), "Buffer dtype mismatch, expected 'real'"),
    (lambda c: per_sample(c, losses=np.zeros(B - 1)), "losses: expected size 4 along axis 0, got"),
    (lambda c: per_sample(c, losses=np.zeros(B, F32)), "Buffer dtype mismatch, expected 'double'"),
    (lambda c: per_sample(c, target=Y[:3]), "target: expected size 4 along axis 0, got 3"),
    (lambda c: per_sample(c, net={"loss": 0}), "this network has no loss"),
    (lambda c: jacobians(c, given=ragged(c)), "order: expected sequences of one length"),
    (lambda c: engine(c).assign("me", X[0], GIVEN), f"parameters: expected size {SIZE}"),
    (lambda c: engine(c).assign("me", np.zeros(SIZE, F32), GIVEN[1:]), "given: expected size"),
    (lambda c: terms(c, batch(c), ORDER[:0]), "order: expected at least one sequence"),
    (lambda c: terms(c, batch(c), ORDER + 1), "order: no sequence 4"),
    (lambda c: terms(c, batch(c), terms=Y), "terms: expected size 5 along axis 0, got 4"),
    (lambda c: terms(c, batch(c), squares=np.zeros((1, T, 3))), "squares: expected size 6 along"),
    (lambda c: terms(c, batch(c), dy=Y[:3]), "dy: expected size 4 along axis 0, got 3"),
    (lambda c: jacobians(c, which=1), "which: no layer 1"),
    (lambda c: jacobians(c, which=-1), "which: no layer -1"),
    (lambda c: jacobians(c, out=np.zeros((T, B, H, 1), F32)), "out: expected size 2 along axis 3"),
    (lambda c: jacobians(c, np.zeros(65, int)), "sequences, got 65"),
    (lambda c: trainer(c, size=0), "batch_size: expected at least 1, got 0"),
    (lambda c: trainer(c, ORDER - 1), "order: no sequence -1"),
    (lambda c: trainer(c, decay=np.zeros(1, F32)), f"decay: expected size {SIZE}"),
    (lambda c: trainer(c, l1=np.zeros(1, F32)), f"l1: expected size {SIZE} along axis 0, got 1"),
    (lambda c: trainer(c, free=np.zeros(1, F32)), f"free: expected size {SIZE} along axis 0"),
    (lambda c: trainer(c, leader=np.zeros(1, int)), f"leader: expected size {SIZE} along axis 0"),
    (lambda c: trainer(c, leader=np.arange(SIZE) + 1), "leader: expected one before parameter 0"),
    (lambda c: trainer(c, leader=np.maximum(np.arange(SIZE) - 1, 0)), "before parameter 2, got 1"),
    (lambda c: trainer(c, truncate=-1), "truncate: expected at least 0, got -1"),
    (lambda c: stepper(c, rule=99), "rule: there is no number 99"),
    (lambda c: stepper(c, decay=np.zeros(1, F32)), f"decay: expected size {SIZE}"),
    (lambda c: step(c, batch(c), Y[:3].copy()), "target: expected size 4 along axis 0, got 3"),
    (lambda c: step(c, batch(c), weight=Y[:3].copy()), "weight: expected size 4 along axis 0"),
    (lambda c: step(c, batch(c), None, ORDER[:3].copy(), loss=3), "classes: expected size 4"),
    (lambda c: step(c, batch(c, h0=STATE[:3].copy())), "h0: expected size 4 along axis 0, got 3"),
    (lambda c: stepper(c, rule=1).restore(0, [Y.ravel()]), "vectors: expected size"),
    (lambda c: learner(c, every_step=False), "engine: expected a loss, and an output at every"),
    (lambda c: learner(c, loss=0), "engine: expected a loss, and an output at every step"),
    (lambda c: learner(c, skip=2, flat=np.zeros(SIZE + H * H, F32)), "engine: expected one layer"),
    (lambda c: learner(c).step(X[0, :2].copy(), 0, None, -1), "x: expected size 3 along axis 0"),
    (lambda c: learner(c).step(X[0], 0, Y[:2, 0].copy(), -1), "target: expected size 1 along"),
    (lambda c: learner(c).begin(X[0], None), "h: expected size 2 along axis 0, got 3"),
    (lambda c: learner(c, **lstm()).begin(X[0, :2].copy(), None), "c: expected an array, got None"),
    (lambda c: learner(c, "", 4), "method: there is no number 4"),
    (lambda c: learner(c, "", -1), "method: there is no number -1"),
    (lambda c: placed(c, X, None, "snap1"), "influence: expected size 1 along axis 0, got 20"),
    (lambda c: placed(c, learner(c).present()[2], X), "influence: expected size 1 along axis 0"),
    (lambda c: placed(c, learner(c, "uoro").present()[2], X), "direction: expected size 1 along"),
    (lambda c: placed(c, learner(c, "uoro").present()[2], None), "direction: expected an array"),
    (lambda c: trainer(c).run(np.zeros((1, 4))), "records: expected size 5, got 4"),
    (lambda c: restored(c, order=ORDER + 1), "order: no sequence 4"),
    (lambda c: restored(c, best=np.zeros(1, F32)), f"best: expected size {SIZE}"),
    (lambda c: restored(c, progress=np.zeros(1, np.uint8)), "progress: expected size 64"),
    (lambda c: held(c, ORDER[:0]), "order: expected at least one sequence"),
    (lambda c: held(c, weight=Y[:3].copy()), "weight: expected size 4 along axis 0, got 3"),
    (lambda c: held(c, y=Y[:3].copy()), "target: expected size 4 along axis 0, got 3"),
    (lambda c: generated(c, 3), "last: expected at most 2 and at least 0, got 3"),
    (lambda c: generated(c, -1), "last: expected at most 2 and at least 0, got -1"),
    (lambda c: generated(c, y=Y[:3].copy()), "y: expected outputs and the state of every stream"),
    (lambda c: generated(c, y=LOCKED), "y: expected outputs and the state of every stream"),
    (lambda c: generated(c, state=STATE[:3]), "y: expected outputs and the state of every"),
    (lambda c: generated(c, net=lstm()), "y: expected outputs and the state of every stream"),
    (lambda c: generated(c, seeds=np.zeros(3, "u8")), "seeds: expected size 4, got 3"),
    (lambda c: generated(c, next_tokens=ORDER[:3]), "next_tokens: expected size 4, got 3"),
    (lambda c: generated(c, logs=np.zeros((3, 2))), "log_probabilities: expected size 4, got 3"),
    (lambda c: generated(c, logs=np.zeros((4, 1))), "log_probabilities: expected size 2, got 1"),
    (lambda c: generated(c, logs=None), "outputs: expected them, or arrays for tokens"),
    (lambda c: generated(c, tokens=None), "outputs: expected them, or arrays for tokens"),
    (
        lambda c: generated(c, tokens=None, outputs=np.zeros((4, 2, 2), F32)),
        "outputs: expected size 1, got 2",
    ),
    (
        lambda c: generated(c, tokens=None, outputs=np.zeros((4, 2, 1), F32)),
        "inputs: expected size 1, got 3",
    ),
    (
        lambda c: c.draw_tokens(Y, 1.0, None, ORDER[:3].copy(), np.zeros(4)),
        "tokens: expected size 4, got 3",
    ),
    (
        lambda c: c.draw_tokens(Y, 1.0, None, ORDER.copy(), np.zeros(3)),
        "log_probabilities: expected size 4, got 3",
    ),
    (
        lambda c: c.draw_tokens(Y, 1.0, np.zeros(3, "u8"), ORDER.copy(), np.zeros(4)),
        "seeds: expected size 4, got 3",
    ),
    (lambda c: c.evaluate("exp", Y, Y[:3].copy()), "out: expected size 4, got 3"),
    (lambda c: c.evaluate("exp", X[:, ::-1], X), "exp: expected two C-ordered arrays"),
    (lambda c: c.evaluate("exp", Y, LOCKED), "exp: expected two C-ordered arrays"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), BAD, ids=[text for _, text in BAD])
def test_what_does_not_fit_is_refused(build, call, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        call(_builds.core("float32"))


def test_a_tape_is_of_one_forward_pass(build):
    core = _builds.core("float32")
    empty = core.Tape.__new__(core.Tape)
    with pytest.raises(RuntimeError, match="a tape is empty until a forward pass is over"):
        empty.pull(Y, *[None] * 6)
    with pytest.raises(RuntimeError, match="a tape is empty until a forward pass is over"):
        core.plain_pull(empty, Y, None, None, 1, True, True)
    tape = core.Tape(engine(core), batch(core), Y.copy(), None, None, None)
    with pytest.raises(RuntimeError, match="a tape is of one forward pass"):
        tape.__init__(engine(core), batch(core), Y.copy(), None, None, None)


def test_second_derivatives_are_in_the_core_of_float64_alone(build):
    core, (x, y, v) = _builds.core("float32"), (X, Y, np.zeros(SIZE, F32))
    with pytest.raises(TypeError, match="hvp: expected the core of float64"):
        core.hvp(engine(core, loss=2), batch(core), y, None, None, v)
    core, (x, y, v) = _builds.core("float64"), (part.astype(float) for part in (x, y, v))
    net, given = engine(core, v.copy(), loss=2), core.Batch(B, T, x, None)
    assert core.hvp(net, given, y, None, None, v)[0].shape == (SIZE,)
    with pytest.raises(ValueError, match=f"v: expected size {SIZE} along axis 0, got 3"):
        core.hvp(net, given, y, None, None, v[:3].copy())


def test_gradients_are_views_only_of_what_are_views_of_the_parameters(build):
    core, flat = _builds.core("float32"), np.zeros(SIZE, F32)
    for view in np.zeros(SIZE, F32), np.concatenate([flat, flat])[SIZE - 1 :]:
        net = engine(core, flat, views={"name": view}, loss=2)
        with pytest.raises(ValueError, match="name: expected a view into flat"):
            net.gradient(batch(core), Y, None, None)


def test_a_tape_beyond_all_addresses_is_refused_before_anything_is_read(build):
    core = _builds.core("float32")
    x = np.lib.stride_tricks.as_strided(np.zeros(1, F32), (2**56, D), (4 * D, 4))
    net = engine(core, np.zeros(2 * (SIZE - K) + K, F32), bidirectional=True)
    with pytest.raises(MemoryError, match=r"^x: \S+e\+19 bytes for the tape of this call$"):
        core.vjp(net, core.Batch(1, 2**56, x, None), Y[:1], *[None] * 6)
