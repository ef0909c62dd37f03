"""ULID: (time, randomness) -> an epoch's name, 26 letters that sort by time.

Source: the ULID specification (48 bits of milliseconds, 80 of randomness, Crockford's base 32).
"""

import re

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PATTERN = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
RANDOM_BYTES = 10


def ulid(now_ms: int, randomness: bytes) -> str:
    """Name an instant. `randomness` is ten bytes from the system's generator."""
    if len(randomness) != RANDOM_BYTES:
        raise ValueError(f"{RANDOM_BYTES} random bytes are needed, {len(randomness)} came")
    number = (max(0, now_ms) % (1 << 48)) << 80 | int.from_bytes(randomness, "big")
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def is_ulid(text: str) -> bool:
    return _PATTERN.fullmatch(text) is not None
