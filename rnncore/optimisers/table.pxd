"""All optimisers. To add one, add it here."""

from libc.string cimport memset

from rnncore.optimisers.descent cimport momentum, nesterov, sgd
from rnncore.optimisers.lion cimport lion
from rnncore.optimisers.optimiser cimport Rule
from rnncore.optimisers.scaled cimport adam, adamw, rmsprop


cdef inline bint describe_rule(Rule* rule, int number) noexcept nogil:
    """The rule of a number, from 0; false where there is none."""
    memset(rule, 0, sizeof(Rule))
    if number == 0:
        sgd(rule)
    elif number == 1:
        momentum(rule)
    elif number == 2:
        nesterov(rule)
    elif number == 3:
        rmsprop(rule)
    elif number == 4:
        adam(rule)
    elif number == 5:
        adamw(rule)
    elif number == 6:
        lion(rule)
    return rule.step != NULL
