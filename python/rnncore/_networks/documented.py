"""Docstrings of the networks, whose classes have most parameters in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import cleandoc
from typing import TypeVar

Class = TypeVar("Class", bound=type)

#: An entry of a list of parameters, with its indented description; the names of one that refers to
#: another class.
ENTRY = re.compile(r"^(\w+) : .*\n(?:(?:\n(?= ))? {4}.*\n)*", re.M)
REFERRING = re.compile(r"^(\w+(?:, \w+)*)\n    As for `rnncore\.RNN`\.\n", re.M)


def with_parameters_of(source: type) -> Callable[[Class], Class]:
    """Of a class whose docstring says of some parameters "As for `rnncore.RNN`.", put there what
    the docstring of ``source`` says of each. References to literature stay where they are listed.
    """

    def completed(cls: Class) -> Class:
        if source.__doc__ and cls.__doc__:  # python -OO has none
            entries = {found[1]: found[0] for found in ENTRY.finditer(cleandoc(source.__doc__))}
            cls.__doc__ = REFERRING.sub(
                lambda found: "".join(
                    re.sub(r" \[\d\]_", "", entries[name]) for name in found[1].split(", ")
                ),
                cleandoc(cls.__doc__),
            )
        return cls

    return completed
