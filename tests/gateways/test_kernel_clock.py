"""What the kernel says about its clock, and what it means."""

import ctypes
import platform
import subprocess
import sys
import textwrap

import pytest

from gateways.adapters import kernel_clock
from gateways.adapters.kernel_clock import is_synchronised

TIME_OK, TIME_ERROR = 0, 5
STA_PLL, STA_UNSYNC = 0x0001, 0x0040


class FakeLibrary:
    """A libc whose adjtimex answers what it is told to."""

    def __init__(self, state: int, status: int) -> None:
        self._state, self._status = state, status

    def adjtimex(self, reference: object) -> int:
        timex = reference._obj  # type: ignore[attr-defined]
        assert timex.modes == 0, "it must read, never set"
        timex.status = self._status
        return self._state


@pytest.mark.parametrize(
    ("state", "status", "synchronised"),
    [
        (TIME_OK, STA_PLL, True),
        (1, STA_PLL, True),  # a leap second is announced
        (TIME_OK, STA_PLL | STA_UNSYNC, False),
        (TIME_ERROR, STA_PLL, False),
        (TIME_ERROR, STA_UNSYNC, False),
        (-1, 0, False),  # not permitted
    ],
)
def test_the_kernels_answer(monkeypatch, state, status, synchronised):
    monkeypatch.setattr(kernel_clock, "_library", lambda: FakeLibrary(state, status))

    assert is_synchronised() is synchronised


def test_where_nobody_can_tell_it_is_not(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")

    assert is_synchronised() is False


@pytest.mark.skipif(platform.system() != "Linux", reason="adjtimex is Linux")
def test_the_real_kernel_answers_and_writes_no_further_than_its_struct():
    """`struct timex` has 208 bytes on a 64-bit Linux; ours must hold at least that."""
    assert ctypes.sizeof(kernel_clock._Timex) >= 208
    assert kernel_clock._Timex.status.offset == 40 or ctypes.sizeof(ctypes.c_long) == 4

    assert is_synchronised() in {True, False}


@pytest.mark.server
@pytest.mark.skipif(platform.system() != "Linux", reason="adjtimex is Linux")
def test_the_answer_is_the_one_that_glibc_gives_too():
    """`ntp_adjtime` is the other door to the same state; its answer comes in another process."""
    script = textwrap.dedent("""
        import ctypes
        room = ctypes.create_string_buffer(512)
        state = ctypes.CDLL(None).ntp_adjtime(room)
        print(0 <= state < 5)
    """)

    answer = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.strip()

    assert is_synchronised() is (answer == "True")
