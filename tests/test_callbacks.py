"""What is called after every epoch: it can end a fit, its errors leave a usable network, and the
records it may look at cost no copy each time."""

import numpy as np
import pytest
from fits import data, network


@pytest.mark.parametrize("answer", [True, np.True_, np.bool_(True)])
def test_a_callback_can_end_a_fit(build, answer):
    history = network().fit(
        *data(), epochs=100, callback=lambda epoch, loss: answer if epoch == 4 else not answer
    )
    assert len(history) == 4
    assert history.stopped == "callback"


@pytest.mark.parametrize("answer", [1, "stop", [True], np.ones(1, bool), 0.5, None, False])
def test_what_else_a_callback_returns_means_nothing(answer):
    history = network().fit(*data(), epochs=3, callback=lambda epoch, loss: answer)
    assert len(history) == 3
    assert history.stopped == "epochs"


@pytest.mark.parametrize("watch", ["callback", "checkpoint", "progress"])
def test_records_are_not_copied_every_epoch(monkeypatch, tmp_path, capsys, hide, watch):
    hide("tqdm")
    epochs, made = 500, 0

    def counted(name):
        function = getattr(np, name)

        def call(*args, **options):
            nonlocal made
            result = function(*args, **options)
            made += result.size
            return result

        return call

    for name in ("concatenate", "zeros", "empty", "append", "vstack", "resize"):
        monkeypatch.setattr(np, name, counted(name))
    given = {"callback": lambda *_: None, "checkpoint": tmp_path / "fit", "progress": True}[watch]
    history = network().fit(*data(), epochs=epochs, **{watch: given})
    assert len(history) == epochs
    assert made < 5 * epochs * 6  # five columns, of arrays that double


def test_a_raising_callback_leaves_a_usable_network(build):
    x, y = data()
    net, twin = network(), network()

    def fail(epoch, loss):
        if epoch == 3:
            raise OverflowError("enough")

    with pytest.raises(OverflowError, match="enough"):
        net.fit(x, y, epochs=10, rng=0, callback=fail)
    twin.fit(x, y, epochs=3, rng=0)
    assert net.flat.tobytes() == twin.flat.tobytes()
    net.fit(x, y, epochs=1)
