"""The core's random numbers, in plain Python."""


def uniform(seed):
    """SplitMix64: (a number from [0, 1), the next seed)."""
    mask = 2**64 - 1
    seed = (seed + 0x9E3779B97F4A7C15) & mask
    z = seed
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return ((z ^ (z >> 31)) >> 11) / 2**53, seed
