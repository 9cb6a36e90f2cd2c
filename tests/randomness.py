"""The core's random numbers, in plain Python."""

GOLDEN, MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


def next_random(state):
    """SplitMix64 (Steele, Lea and Flood 2014): the number after a state."""
    z = (state + GOLDEN) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def unit_of(number):
    """From [0, 1), by a random number."""
    return (number >> 11) / 2**53


def uniform(seed):
    """(a number from [0, 1), the next seed)"""
    return unit_of(next_random(seed)), (seed + GOLDEN) & MASK
