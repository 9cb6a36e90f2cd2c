"""Checks of arguments. Errors name the argument, what was expected and what was given."""

from __future__ import annotations

import os
from collections.abc import Iterable
from inspect import signature
from operator import index
from typing import Any

import numpy as np

from rnncore._types import Array


def choice(name: str, value: Any, known: Iterable[str | None]) -> Any:
    """`value` if it is one of the known names; else an error that suggests the closest of them."""
    known = list(known)
    if value is None or isinstance(value, str):
        if value in known:
            return value
    else:
        raise TypeError(f"{name}: expected {one_of(known)}, got {shown(value)}")
    from rnncore._checks.synonyms import hint

    names = [k for k in known if k is not None]
    end = "" if value is None else hint(name, value, names)
    raise ValueError(f"{name}: expected {one_of(known)}, got {shown(value)}{end}")


def no_argument(cls: type, name: str) -> TypeError:
    """The error for an argument that a class does not have, with the closest of those it has."""
    from rnncore._checks.synonyms import hint

    end = hint("argument", name, list(signature(cls).parameters))
    return TypeError(f"{cls.__name__}: there is no argument {name!r}{end}")


def one_of(known: Iterable[str | None]) -> str:
    names = [repr(k) for k in known]
    return names[0] if len(names) == 1 else "one of " + ", ".join(names)


def whole(name: str, value: Any, least: int, most: int = 2**31 - 1) -> int:
    """`value` as an int within [least, most]."""
    try:
        number = index(value)
    except Exception:  # it is no integer, or its own __index__ failed
        raise TypeError(f"{name}: expected an integer, got {shown(value)}") from None
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if not least <= number <= most:
        bound = f"at least {least}" if number < least else f"at most {most}"
        raise ValueError(f"{name}: expected {bound}, got {shown(number)}")
    return number


def threads(value: Any) -> int | None:
    return None if value is None else whole("threads", value, 1)


def number(name: str, value: Any, low: float, high: float = float("inf"), *, above: bool) -> float:
    """`value` as a finite float, low <= value < high; with `above`, low < value < high."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    try:
        if not is_number(value):
            raise TypeError
        real = float(value)
    except OverflowError:
        real = float("inf")
    except Exception:  # it is no number, or its own __float__ failed
        raise TypeError(f"{name}: expected a number, got {shown(value)}") from None
    if not (low < real if above else low <= real) or not real < high:
        end = f"less than {high:g}" if high < float("inf") else "finite"
        bound = f"{'more than' if above else 'at least'} {low:g} and {end}"
        raise ValueError(f"{name}: expected {bound}, got {shown(value)}")
    return real


def is_number(value: Any) -> bool:
    """Whether `value` is one real number: no string (which float would parse), no complex number,
    no date."""
    if isinstance(value, np.generic):
        return value.dtype.kind in "fiu"
    known = hasattr(type(value), "__float__") or hasattr(type(value), "__index__")
    return known and not isinstance(value, bool | np.ndarray)


def flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected True or False, got {shown(value)}")
    return bool(value)


def generator(name: str, value: Any) -> np.random.Generator:
    """A generator from None, an integer seed or a Generator."""
    if value is None or isinstance(value, np.random.Generator):
        return np.random.default_rng(value)
    try:
        return np.random.default_rng(whole(name, value, 0, 2**128 - 1))
    except TypeError:
        raise TypeError(
            f"{name}: expected None, an integer or a numpy.random.Generator, got {shown(value)}"
        ) from None


def seed(name: str, value: Any) -> int:
    """A seed for the random numbers that the core draws itself."""
    return int(generator(name, value).integers(2**63))


def array(name: str, value: Any) -> Array:
    """`value` as an array of real numbers, integers or booleans."""
    if type(value) is np.ndarray:
        result: Array = value
    elif isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: expected a plain array, got a masked one; which steps count goes into mask="
        )
    else:
        try:
            result = np.asarray(value)
        except ValueError as error:  # nested lists of different lengths
            raise ValueError(f"{name}: expected an array, got {kind(value)}: {error}") from None
        except MemoryError:
            raise
        except Exception as error:  # raised by the object itself when numpy converted it
            raise TypeError(f"{name}: expected an array, got {kind(value)}{why(error)}") from error
    if result.dtype.kind not in "fiub":
        hint = "; np.unique(names, return_inverse=True)[1] numbers names"
        raise TypeError(
            f"{name}: expected real numbers, got dtype {result.dtype}"
            f"{hint if result.dtype.kind in 'US' else ''}"
        )
    return result


def items(name: str, value: Any) -> list[Any]:
    """The items of a list or tuple."""
    try:
        return list(value)
    except Exception as error:  # raised by a derived class
        raise TypeError(f"{name}: expected a list, got {kind(value)}{why(error)}") from error


def entries(name: str, value: Any) -> dict[Any, Any]:
    """The entries of a mapping."""
    try:
        return {key: value[key] for key in value}
    except Exception as error:  # raised by the mapping itself
        raise TypeError(f"{name}: expected a mapping, got {kind(value)}{why(error)}") from error


def names(keys: Iterable[Any]) -> str:
    return ", ".join(key if isinstance(key, str) else shown(key) for key in keys)


def kind(value: Any) -> str:
    return f"a {type(value).__name__}"


def shown(value: Any, most: int = 500) -> str:
    """A value as it is shown in an error: cut where it is long, and never an error of its repr."""
    try:
        text = repr(value)
    except Exception:  # for instance of an int with more digits than Python prints
        return f"{kind(value)} that cannot be shown"
    return text if len(text) <= most else f"{text[:most]}..."


def why(error: Exception) -> str:
    """The end of an error message: what the caller's object raised itself."""
    return f" with an error of its own: {shown(error)}"


def same_shape(name: str, got: Array, *expected: tuple[int | str, ...], hint: str = "") -> None:
    """Raise a ValueError unless the shape is one of those expected."""
    if got.shape not in expected:
        raise ValueError(f"{name}: expected {shapes(*expected)}, got {got.shape}{hint}")


def shapes(*options: tuple[int | str, ...]) -> str:
    return " or ".join(
        f"({', '.join(str(n) for n in option)}{',' if len(option) == 1 else ''})"
        for option in options
    )


def as_real(value: Array, dtype: np.dtype[Any]) -> Array:
    """A C-ordered array of the network's precision; numbers too large for it become infinite."""
    if value.dtype == dtype:
        return value if value.flags.carray else np.require(value, dtype, ["C", "A"])
    try:
        if value.dtype.kind != "f":  # integers and booleans never overflow
            return value.astype(dtype, "C")
        with np.errstate(all="ignore"):  # setting it costs a microsecond
            return value.astype(dtype, "C")
    except ValueError:
        raise too_large(value) from None


def too_large(value: Array) -> MemoryError:
    """The error for a broadcast view whose copy would not fit into the address space."""
    return MemoryError(f"no room for an array {value.shape}")


def all_finite(name: str, values: Array, where: Array | None = None) -> None:
    """Raise a ValueError with the index of the first number that is not finite. Only entries where
    `where` (which is broadcast) is true are checked."""
    bad = ~np.isfinite(values)
    if where is not None:
        bad &= where
    if bad.any():
        at = first(bad)
        raise ValueError(f"{name}: expected finite numbers, got {values[at]} at {list(at)}")


def within(
    name: str, what: str, values: Array, low: float, high: float, where: Array | None = None
) -> None:
    """Raise a ValueError with the index of the first number outside [low, high], among those where
    `where` is true."""
    wrong = (values < low) | (values > high)
    if where is not None:
        wrong &= where
    if wrong.any():
        at = first(wrong)
        end = "up" if high == float("inf") else f"to {high:.15g}"
        raise ValueError(
            f"{name}: expected {what} from {low:.15g} {end}, got {values[at]} at {list(at)}"
        )


def path(value: Any, name: str = "path") -> str:
    try:
        result = os.fsdecode(value)
        os.fsencode(result)
    except UnicodeError:
        result = "\0"
    except Exception:
        raise TypeError(f"{name}: expected a file's path, got {shown(value)}") from None
    if not result or "\0" in result:
        raise ValueError(f"{name}: expected a file's path, got {shown(value)}")
    return result


def first(where: Array) -> tuple[int, ...]:
    """The index of the first true entry."""
    return tuple(int(i) for i in np.argwhere(where)[0])
