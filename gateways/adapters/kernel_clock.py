"""Kernel clock: does the kernel say that something disciplines its clock?

Source: adjtimex(2): the return value TIME_ERROR (5), or the status bit STA_UNSYNC, says that the
clock is not synchronised.
"""

import ctypes
import sys
from functools import cache

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """The start of the kernel's `struct timex`; the rest is room that the call may fill."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("room", ctypes.c_char * 256),
    )


def is_synchronised() -> bool:
    """Whether NTP (or the like) disciplines this machine's clock; False where nobody can tell."""
    if sys.platform != "linux":
        return False
    timex = _Timex()
    state = _library().adjtimex(ctypes.byref(timex))
    return state >= 0 and state != _TIME_ERROR and not timex.status & _STA_UNSYNC


@cache
def _library() -> ctypes.CDLL:
    """The C library, opened once: it is asked at each answer of a meter."""
    return ctypes.CDLL(None, use_errno=True)
