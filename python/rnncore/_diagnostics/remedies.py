"""What helps against gradients that vanish or explode, as sentences."""

from __future__ import annotations

from math import log

from rnncore._model.model import Model


def remedies(verdict: str, model: Model, steps: int) -> list[str]:
    """For a network whose longest sequence has so many steps."""
    if verdict == "exploding":
        return against_exploding(model)
    return against_vanishing(model, steps) if verdict == "vanishing" else []


def against_exploding(model: Model) -> list[str]:
    found = [
        "Pass clip_norm= to fit, about the gradient's usual norm (history.gradient_norm of a fit) "
        "or 1: the update keeps its direction, and its length is bounded.",
        "Take a smaller lr, or limit every entry of the gradient by clip_value=.",
    ]
    if model.cell.name != "RNN":
        return found
    if model.config["nonlinearity"] in ("relu", "identity"):
        name = "unit" if model.spec.hidden_size == 1 else "identity"
        found.append(
            f'Start from init="{name}": a recurrent weight of 1 neither grows nor fades a state.'
        )
    else:
        found.append('Start from init="orthogonal": no direction is stretched at the start.')
    return found


def against_vanishing(model: Model, steps: int) -> list[str]:
    config, size = model.config, max(1.0, log(steps))
    of_steps = f"about the log of {steps} steps"
    with_bias = "" if config["bias"] else "bias=True and "
    if model.cell.keeping is not None:
        name, sign, state = model.cell.keeping
        found = [
            f"Start with {with_bias}{name}={sign * size:.1f}, {of_steps}: {state} then keeps what "
            "it has."
        ]
        if state != "c":
            found.append(
                f"Take rnncore.LSTM with {with_bias}forget_bias={size:.1f}: its c is carried on by "
                "addition, apart from h."
            )
        elif config["readout"] == "last":
            found.append('Take shorter sequences, or a target at every step (readout="all").')
        return found
    found = [
        f"Take a gated cell, rnncore.LSTM with {with_bias}forget_bias={size:.1f} or rnncore.GRU "
        f"with {with_bias}update_bias={size:.1f}, {of_steps}."
    ]
    nonlinearity = config["nonlinearity"]
    if nonlinearity == "sigmoid":
        found.append('Take nonlinearity="tanh": the logistic function\'s slope is at most 1/4.')
    change = "Start from" if nonlinearity == "relu" else 'Take nonlinearity="relu" with'
    found.append(f'{change} init="identity": the Jacobian of an active unit is then 1.')
    skip = f"a skip= larger than {config['skip']}" if config.get("skip") else "skip=s, say 10"
    found.append(f"Take {skip}: the way back is shorter by that factor.")
    return found
