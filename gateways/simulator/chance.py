"""Chance: (seed, number) -> a number that only looks random. Same arguments, same result, always.

So a simulated district is a function of its seed and the time, whatever was asked before.
"""

from zlib import crc32

_MASK = (1 << 64) - 1


def seeded(*parts: str | int) -> int:
    """A seed of its own for everything that has a name."""
    return crc32("/".join(map(str, parts)).encode())


def chance(seed: int, number: int) -> float:
    """A number in [0, 1).

    **Source**: the finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
    Generators, 2014).
    """
    mixed = (seed * 0x9E3779B97F4A7C15 + number * 0xD1B54A32D192ED03) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return (mixed ^ (mixed >> 31)) / 2.0**64


def between(seed: int, number: int, lowest: float, highest: float) -> float:
    """A number in [lowest, highest)."""
    return lowest + (highest - lowest) * chance(seed, number)
