# The compiled core, as Python calls it. All builds are of one source and have these functions and
# classes. The type checker uses this one, which every platform has.

from typing import Any, Self, final

from rnncore._types import Array, State

CELLS: dict[str, tuple[int, int, int]]  # number, blocks, states
NONLINEARITIES: dict[str, int]
LOSSES: dict[str, tuple[int, bool, int, float, float]]  # number, classes, outputs, low, high
OPTIMISERS: dict[str, int]
ONLINE_METHODS: dict[str, int]

class Batch:
    def __new__(
        cls,
        count: int,
        time: int,
        x: Array | None,
        tokens: Array | None,
        start: Array | None = None,
        length: Array | None = None,
        order: Array | None = None,
        mask: Array | None = None,
        h0: Array | None = None,
        c0: Array | None = None,
    ) -> Self: ...
    @property
    def count(self) -> int: ...
    @property
    def time(self) -> int: ...
    @property
    def rows(self) -> int: ...

class Engine:
    def __new__(
        cls,
        flat: Array,
        views: dict[str, Array],
        inputs: int,
        hidden: int,
        outputs: int,
        *,
        cell: int,
        layers: int,
        bidirectional: bool,
        skip: int,
        switching: bool,
        bias: bool,
        head: bool,
        head_bias: bool,
        start: bool,
        every_step: bool,
        before: bool,
        nonlinearity: int,
        loss: int,
        dropout: float,
        recurrent_dropout: float,
        zoneout: float,
        zoneout_c: float,
    ) -> Self: ...
    def assign(self, who: str, parameters: Array, given: Array) -> None: ...
    def note_exposure(self) -> None: ...
    def forward(
        self,
        batch: Batch,
        y: Array,
        hidden: Array | None,
        final: Array | None,
        final_c: Array | None,
        threads: int | None = 1,
    ) -> int: ...
    def loss(
        self,
        batch: Batch,
        target: Array | None,
        classes: Array | None,
        weight: Array | None,
        threads: int | None = 1,
        losses: Array | None = None,
    ) -> tuple[float, float, int]: ...
    def gradient(
        self,
        batch: Batch,
        target: Array | None,
        classes: Array | None,
        weight: Array | None,
        *,
        threads: int | None = 1,
        dropout_seed: int | None = None,
        truncate: int = 0,
        mean: bool = True,
    ) -> tuple[float, dict[str, Array], int]: ...

class Tape:
    def __init__(
        self,
        engine: Engine,
        batch: Batch,
        y: Array,
        hidden: Array | None,
        final: Array | None,
        final_c: Array | None,
        *,
        threads: int | None = 1,
        dropout_seed: int | None = None,
    ) -> None: ...
    @property
    def faults(self) -> int: ...
    @property
    def rows(self) -> int: ...
    def pull(
        self,
        dy: Array | None,
        dhidden: Array | None,
        dfinal: Array | None,
        dfinal_c: Array | None,
        dx: Array | None,
        dh0: Array | None,
        dc0: Array | None,
        *,
        threads: int | None = 1,
        params: bool = True,
    ) -> tuple[dict[str, Array] | None, int]: ...

def vjp(
    engine: Engine,
    batch: Batch,
    dy: Array | None,
    dhidden: Array | None,
    dfinal: Array | None,
    dfinal_c: Array | None,
    dx: Array | None,
    dh0: Array | None,
    dc0: Array | None,
    *,
    threads: int | None = 1,
    dropout_seed: int | None = None,
    truncate: int = 0,
) -> tuple[dict[str, Array], int]: ...

class Held:
    def __new__(
        cls,
        engine: Engine,
        batch: Batch,
        target: Array | None,
        classes: Array | None,
        weight: Array | None,
        order: Array,
    ) -> Self: ...

class Feedback: ...
class Updates: ...

class Trainer(Updates):
    def __new__(
        cls,
        engine: Engine,
        batch: Batch,
        target: Array | None,
        classes: Array | None,
        weight: Array | None,
        order: Array,
        batch_size: int,
        *,
        rule: int,
        momentum: float,
        alpha: float,
        beta1: float,
        beta2: float,
        eps: float,
        clip_norm: float,
        clip_value: float,
        decay: Array | None,
        l1: Array | None,
        free: Array | None,
        leader: Array | None,
        activation: float,
        truncate: int,
        shuffled: bool,
        seed: int,
        held: Held | None,
        patience: int,
        plateau: tuple[float, float, int, int],
    ) -> Self: ...
    @property
    def impatient(self) -> bool: ...
    def run(self, records: Array, threads: int | None = 1, forcing: Array | None = None) -> int: ...
    def use_best(self) -> None: ...
    def state(self) -> dict[str, Array]: ...
    def restore(self, arrays: dict[str, Array]) -> None: ...

class SteppedUpdates(Updates):
    rate: float
    @property
    def updates(self) -> int: ...
    def state(self) -> tuple[int, list[Array]]: ...
    def restore(self, updates: int, vectors: list[Array]) -> None: ...

@final
class StepTrainer(SteppedUpdates):
    random: int
    forcing: float
    def __new__(
        cls,
        engine: Engine,
        batch_size: int,
        *,
        rule: int,
        momentum: float,
        alpha: float,
        beta1: float,
        beta2: float,
        eps: float,
        clip_norm: float,
        clip_value: float,
        decay: Array | None,
        l1: Array | None,
        free: Array | None,
        leader: Array | None,
        activation: float,
        truncate: int,
        seed: int,
        rate: float,
    ) -> Self: ...
    def plain_step(self, x: Any, y: Any, lengths: Any, threads: int | None) -> float | None: ...
    def step(
        self,
        batch: Batch,
        target: Array | None,
        classes: Array | None,
        weight: Array | None,
        threads: int | None = 1,
    ) -> tuple[float, int]: ...

@final
class Fitted:
    def __new__(
        cls,
        engine: Engine,
        batch: Batch,
        target: Array | None,
        classes: Array | None,
        weight: Array | None,
    ) -> Self: ...

@final
class Population:
    width: int
    def __new__(
        cls,
        engine: Engine,
        flat: Array,
        data: Fitted,
        held_data: Fitted | None,
        sequences: Array,
        counts: Array,
        held: Array | None,
        held_counts: Array | None,
        batch_sizes: Array,
        coefficients: Array,
        seeds: Array,
        *,
        rule: int,
        decay: Array | None,
        l1: Array | None,
        free: Array | None,
        leader: Array | None,
        truncate: int,
        shuffled: bool,
        patience: int,
        plateau: tuple[float, float, int, int],
        rates: Array,
        records: Array,
        models_in_lanes: bool,
    ) -> Self: ...
    @property
    def data_changed(self) -> bool: ...
    def finished(self) -> Array: ...
    def epochs_done(self) -> Array: ...
    def kinds(self) -> Array: ...
    def begin(self, waiting: Array) -> None: ...
    def stop(self) -> None: ...
    def use_best(self) -> None: ...
    def state(self, members: Array) -> dict[str, Array]: ...
    def restore(self, members: Array, arrays: dict[str, Array]) -> None: ...

@final
class Cohort:
    def __new__(cls, population: Population) -> Self: ...

@final
class Stream:
    def __new__(cls, engine: Engine) -> Self: ...
    def step(self, x_t: Any, state: Any, out: Any) -> tuple[Array, State] | None: ...
    def run(self, x: Any, state: Any, out: Any) -> tuple[Array, State] | None: ...
    def generate(
        self,
        first: int,
        last: int,
        y: Array,
        state: State,
        temperature: float,
        seeds: Array | None,
        next_tokens: Array | None,
        tokens: Array | None,
        log_probabilities: Array | None,
        outputs: Array | None,
    ) -> int: ...
    def play(
        self,
        first: int,
        last: int,
        y: Array,
        state: State,
        spare: State,
        x: Array,
        inputs: Array,
        probabilities: Array,
        seeds: Array,
        seen: Array,
        chosen: Array,
        likely: Array,
    ) -> int: ...

@final
class Online(SteppedUpdates):
    def __new__(
        cls,
        engine: Engine,
        method: int,
        *,
        rule: int,
        momentum: float,
        alpha: float,
        beta1: float,
        beta2: float,
        eps: float,
        clip_norm: float,
        clip_value: float,
        decay: Array | None,
        l1: Array | None,
        free: Array | None,
        leader: Array | None,
        rate: float,
        seed: int,
    ) -> Self: ...
    def step(
        self, x: Array | None, token: int, target: Array | None, number: int
    ) -> tuple[float, int]: ...
    def begin(self, h: Array | None, c: Array | None) -> None: ...
    def place(
        self,
        h: Array,
        c: Array | None,
        influence: Array,
        direction: Array | None,
        random: int,
    ) -> None: ...
    def present(self) -> tuple[Array, Array | None, Array, Array | None]: ...
    @property
    def random(self) -> int: ...
    def last(self) -> tuple[Array, dict[str, Array]]: ...

def draw_tokens(
    y: Array, temperature: float, seeds: Array | None, tokens: Array, log_probabilities: Array
) -> bool: ...
def train_members(population: Population, seconds: float) -> None: ...
def help_others(queue: Any) -> None: ...
def as_plain(values: Any) -> Array | None: ...
def plain_batch(x: Any, inputs: int) -> Batch | None: ...
def evaluate(name: str, x: Array, out: Array) -> None: ...
def plain_forward(
    engine: Engine, x: Any, h0: Any, lengths: Any, mask: Any, threads: Any, states: bool
) -> Any: ...
def plain_loss(
    engine: Engine,
    x: Any,
    y: Any,
    h0: Any,
    lengths: Any,
    mask: Any,
    threads: Any,
    target_mask: Any,
    sample_weight: Any,
    reduction: Any,
) -> float | None: ...
def plain_gradient(
    engine: Engine,
    x: Any,
    y: Any,
    h0: Any,
    lengths: Any,
    mask: Any,
    threads: Any,
    rng: Any,
    truncate: Any,
    target_mask: Any,
    reduction: Any,
    sample_weight: Any,
) -> tuple[float, dict[str, Array]] | None: ...
def plain_vjp(
    engine: Engine,
    x: Any,
    dy: Any,
    h0: Any,
    lengths: Any,
    mask: Any,
    threads: Any,
    rng: Any,
    truncate: Any,
) -> tuple[dict[str, Array], Array, State] | None: ...
def plain_linearize(
    engine: Engine,
    x: Any,
    h0: Any,
    lengths: Any,
    mask: Any,
    rng: Any,
    threads: Any,
    states: Any,
) -> tuple[tuple[Array, Array | None, State], Tape] | None: ...
def plain_pull(
    tape: Tape, dy: Any, dhidden: Any, dfinal: Any, threads: Any, dx: Any, params: Any
) -> tuple[dict[str, Array] | None, Array | None, State] | None: ...
def terms(
    engine: Engine,
    batch: Batch,
    target: Array | None,
    classes: Array | None,
    weight: Array | None,
    dy: Array | None,
    order: Array,
    scale: float,
    terms: Array,
    squares: Array,
) -> tuple[float, int]: ...

@final
class PerSample:
    def __new__(cls) -> Self: ...

def per_sample(
    engine: Engine,
    batch: Batch,
    target: Array | None,
    classes: Array | None,
    weight: Array | None,
    grads: Array,
    losses: Array,
    *,
    mean: bool,
    dropout_seed: int | None = None,
    truncate: int = 0,
) -> tuple[int, float]: ...
def hvp(
    engine: Engine,
    batch: Batch,
    target: Array | None,
    classes: Array | None,
    weight: Array | None,
    v: Array,
    *,
    threads: int | None = 1,
    mean: bool = True,
    gauss_newton: bool = False,
) -> tuple[Array, float, int]: ...
def jacobians(
    engine: Engine,
    batch: Batch,
    order: Array,
    which: int,
    out: Array,
    out_skip: Array | None,
) -> None: ...
def probe(name: str, n: int, memory: Array) -> float: ...
