"""Small recurrent networks, trained and run on the CPU at the speed of the silicon.

>>> import numpy as np
>>> import rnncore as rc
>>> x, y = np.random.default_rng(0).standard_normal((32, 50, 3)), np.arange(32) % 2
>>> net = rc.RNN(input_size=3, hidden_size=1, output_size=1, loss="bce", seed=0)
>>> history = net.fit(x, y, epochs=300, lr=0.1)
>>> net.predict_proba(x).shape
(32, 1)
>>> loss, grads = net.loss_and_grad(x, y)  # exact backpropagation through time
"""

# The private packages, from the bottom up; each imports only from those before it (annotations and
# functions that are called later may refer to others). tests/test_layout.py checks it.
#
#     _types _version    types that signatures have in common; the version
#     _html              pieces of what notebooks show
#     _checks            checks of arguments, and their errors
#     _runtime           the build of the compiled core in use; threads a call may use
#     schedules          learning rates
#     _model             what a network is made of; methods for its parameters
#     _storage           files; the method save
#     _data              sequences and targets, for the compiled core
#     _calls             methods for outputs, losses and gradients, steps
#     _diagnostics       methods for inspection: gradients by time step, states and gates, dynamics
#     _training          methods for training
#     _networks          the public classes, which list the methods; load
#     _population        many networks at once; the public class is in population
#     _sweep             populations over grids of options, subjects and folds
#     _torch torch       layers for PyTorch, which this module does not import
#     _demo _bench       programs of the command line

from rnncore import schedules
from rnncore._calls.generate import Generated
from rnncore._calls.per_sample import SampleGradients
from rnncore._calls.running import Output
from rnncore._calls.streams import Streams
from rnncore._diagnostics.fixed_points import FixedPoints
from rnncore._diagnostics.flow import GradientFlow
from rnncore._diagnostics.lyapunov import Lyapunov
from rnncore._diagnostics.tracing import Trace
from rnncore._networks.from_torch import from_torch
from rnncore._networks.gru import GRU
from rnncore._networks.load import load
from rnncore._networks.lstm import LSTM
from rnncore._networks.mgu import MGU
from rnncore._networks.rnn import RNN
from rnncore._population.history import PopulationHistory
from rnncore._runtime.config import show_config
from rnncore._sweep.sweeping import sweep
from rnncore._sweep.table import Sweep
from rnncore._training.history import History
from rnncore._training.stepping import Trainer
from rnncore._version import __version__
from rnncore.population import Population

__all__ = [
    "GRU",
    "LSTM",
    "MGU",
    "RNN",
    "FixedPoints",
    "Generated",
    "GradientFlow",
    "History",
    "Lyapunov",
    "Output",
    "Population",
    "PopulationHistory",
    "SampleGradients",
    "Streams",
    "Sweep",
    "Trace",
    "Trainer",
    "__version__",
    "from_torch",
    "load",
    "schedules",
    "show_config",
    "sweep",
]
