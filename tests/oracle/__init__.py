"""The network written from its equations in plain Python: floats and lists, no numpy, no rnncore.

Two derivations of the gradient that share no code, for one sequence each:

* ``recurrence``: backpropagation through time, one pass from the last step to the first;
* ``terms``: the textbook sum, in which the term of every time step is formed on its own as
  dL/dy . dy/do_T . (product of do_t/do_{t-1}) . do_j/dW.

Both take ``parameters``, a dict of nested lists in PyTorch's names (``head.weight`` may be
absent: then the outputs are the states), the nonlinearity's name, ``x`` (a list of input
vectors), ``h0``, ``counts`` (a list of booleans: the steps that count), the loss's name, and
``targets``, a dict from the number of a time step to what the output there should be. Both
return the sum of the losses and its gradient as a dict, with "x" and "h0" beside the parameters.

``stack`` has layers on layers, both directions and the skip connection, of every cell, again by
BPTT and by complex steps.

``gated`` has the LSTM and the GRU, by BPTT and by complex steps; there the cell's name stands in
the place of the nonlinearity's, and a state is a list of one or two vectors.

``online`` carries the derivative of the state by every parameter forwards in time, and updates the
parameters at every step.
"""

from oracle import gated, online, stack
from oracle.recurrence import loss_and_grad as by_recurrence
from oracle.terms import loss_and_grad as by_terms
from oracle.terms import loss_and_terms

__all__ = ["by_recurrence", "by_terms", "gated", "loss_and_terms", "online", "stack"]
