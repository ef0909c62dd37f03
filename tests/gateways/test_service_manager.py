"""What the service manager hears, on a real socket of its kind; a hang is silence."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from gateways.adapters.service_manager import ServiceManager
from gateways.pulse import Pulse
from gateways.spool.port import SpoolCorrupt
from tests.fakes.box import Box, TroubledSpool, a_while, eventually
from tests.gateways.spool.test_keep import keep

PERIOD_S = 0.1


class Listening:
    """A manager's end of the socket."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        found = []
        try:
            while True:
                found.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return found

    def environ(self, **more: str) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.name, **more}

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path: Path) -> Iterator[Listening]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@nenghao-{os.getpid()}"
    listening = Listening(name)
    yield listening
    listening.close()


def watching(manager: Listening) -> ServiceManager:
    return ServiceManager(manager.environ(WATCHDOG_USEC=str(round(PERIOD_S * 1e6))))


def test_the_manager_hears_what_the_process_does(manager: Listening) -> None:
    tells = ServiceManager(manager.environ())

    tells.ready()
    tells.status("积压 3 批\nof two lines " + "x" * 1_000)
    tells.stopping()

    ready, status, stopping = manager.heard()
    assert (ready, stopping) == ("READY=1", "STOPPING=1")
    assert status.startswith("STATUS=积压 3 批 of two lines xxx")
    assert len(status) == 207


def test_a_reload_is_told_with_its_time_and_ends_in_ready(manager: Listening) -> None:
    tells = ServiceManager(manager.environ())

    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    tells.reloading()
    tells.ready()

    reloading, ready = manager.heard()
    first, second = reloading.split("\n")
    assert (first, ready) == ("RELOADING=1", "READY=1")
    name, _, at_us = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert 0 <= int(at_us) - before_us < 5_000_000


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}])
def test_without_a_manager_nothing_is_said_and_nothing_watched(environ: dict[str, str]) -> None:
    async def never() -> bool:
        raise AssertionError

    tells = ServiceManager({**environ, "WATCHDOG_USEC": "1000"})

    tells.ready()
    tells.reloading()
    tells.stopping()
    asyncio.run(tells.watch(never))


def test_a_manager_that_went_away_or_does_not_listen_stops_nobody(tmp_path: Path) -> None:
    listening = Listening(str(tmp_path / "notify"))
    tells = ServiceManager(listening.environ())
    for _ in range(5_000):  # until its queue is full
        tells.status("x" * 200)
    assert listening.heard()
    listening.close()

    with structlog.testing.capture_logs() as logs:
        tells.ready()

    assert [one["event"] for one in logs] == ["service_manager.away"]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
    ],
)
def test_where_the_manager_does_not_wait_for_this_process_none_is_watched(
    tmp_path: Path, more: dict[str, str]
) -> None:
    assert ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "s"), **more}).watchdog_s is None
    own = {"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}
    assert ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "s"), **own}).watchdog_s == 2.0


# ---- the watchdog


def test_while_all_is_alive_it_is_said_twice_in_each_period(manager: Listening) -> None:
    async def scenario() -> None:
        async def alive() -> bool:
            return True

        watch = asyncio.create_task(watching(manager).watch(alive))
        await asyncio.sleep(PERIOD_S * 5)
        watch.cancel()

    asyncio.run(scenario())

    heard = manager.heard()
    assert set(heard) == {"WATCHDOG=1"}
    assert 5 <= len(heard) <= 11


def test_a_loop_that_hangs_says_nothing(manager: Listening) -> None:
    async def scenario() -> None:
        async def alive() -> bool:
            return True

        watch = asyncio.create_task(watching(manager).watch(alive))
        await asyncio.sleep(PERIOD_S)
        assert manager.heard()
        time.sleep(PERIOD_S * 3)  # noqa: ASYNC251 - the hang
        assert manager.heard() == []
        watch.cancel()

    asyncio.run(scenario())


def test_a_spool_thread_that_hangs_stops_the_pings_until_it_goes_on(manager: Listening) -> None:
    async def scenario() -> None:
        async with Box() as box:
            watch = asyncio.create_task(watching(manager).watch(box.keeper.is_alive))
            await asyncio.sleep(PERIOD_S)
            assert manager.heard()

            box.spool.stalled.add("append")
            kept = asyncio.create_task(keep(box))
            await eventually(lambda: "append" in box.spool.calls)
            manager.heard()
            await asyncio.sleep(PERIOD_S * 3)
            assert manager.heard() == []

            box.spool.go_on()
            await kept
            await asyncio.sleep(PERIOD_S)
            assert manager.heard()
            watch.cancel()

    asyncio.run(scenario())


def test_a_renewal_may_take_its_time(manager: Listening) -> None:
    """The manager's patience is two minutes; to salvage 2 GB on a slow card takes longer."""
    going_on = threading.Event()

    class Large(TroubledSpool):
        def renew(self) -> None:
            going_on.wait(10)
            super().renew()

    async def scenario() -> None:
        async with Box(spool=Large()) as box:
            watch = asyncio.create_task(watching(manager).watch(box.keeper.is_alive))
            box.spool.once["append"] = SpoolCorrupt("a page")
            kept = asyncio.create_task(keep(box))
            await eventually(lambda: "append" in box.spool.calls)
            await a_while()
            manager.heard()
            await asyncio.sleep(PERIOD_S * 3)
            heard = manager.heard()
            going_on.set()
            await kept
            watch.cancel()
            assert len(heard) >= 3

    asyncio.run(scenario())


def test_a_bus_task_that_hangs_stops_the_pings(manager: Listening) -> None:
    async def scenario() -> None:
        now_ms = 0
        pulse = Pulse(lambda: now_ms, longest_ms=1_000)
        pulse.beat("tcp://a")
        pulse.beat("tcp://b")

        async def alive() -> bool:
            return not pulse.hanging()

        with structlog.testing.capture_logs() as logs:
            watch = asyncio.create_task(watching(manager).watch(alive))
            await asyncio.sleep(PERIOD_S)
            assert manager.heard()
            now_ms = 1_001
            pulse.beat("tcp://b")
            assert pulse.hanging() == ("tcp://a",)
            await asyncio.sleep(PERIOD_S)
            manager.heard()
            await asyncio.sleep(PERIOD_S * 2)
            assert manager.heard() == []

            pulse.end("tcp://a")
            await asyncio.sleep(PERIOD_S)
            assert manager.heard()
            watch.cancel()
        assert [one["event"] for one in logs] == ["gateway.hangs"]

    asyncio.run(scenario())
