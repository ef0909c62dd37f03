"""The status socket: who may ask, what stands in its way, and who does not read the answer."""

import asyncio
import os
import socket
import stat
import time
from pathlib import Path

import pytest

from gateways.adapters.status_socket import StatusAway, StatusRefused, StatusSocket, ask_status


async def ask(folder: Path, within_s: float = 5.0) -> bytes:
    return await asyncio.to_thread(ask_status, folder, within_s=within_s)


def test_whoever_connects_gets_the_document_of_that_moment(tmp_path: Path) -> None:
    async def scenario() -> None:
        told = [b"first", b"x" * 3_000_000]
        answers = StatusSocket(tmp_path, lambda: told.pop(0))
        await answers.open()
        assert await ask(tmp_path) == b"first"
        assert await ask(tmp_path) == b"x" * 3_000_000
        await answers.close()

    asyncio.run(scenario())
    assert list(tmp_path.iterdir()) == []


def test_only_the_user_and_the_group_may_ask(tmp_path: Path) -> None:
    async def scenario() -> None:
        before = os.umask(0)
        try:
            answers = StatusSocket(tmp_path, lambda: b"")
            await answers.open()
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "status.sock").stat().st_mode) == 0o660
        await answers.close()

    asyncio.run(scenario())


def test_the_socket_of_a_killed_gateway_is_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "status.sock"))
    dead.close()
    with pytest.raises(StatusAway, match=f"no gateway runs with the spool folder {tmp_path}"):
        ask_status(tmp_path)

    async def scenario() -> None:
        answers = StatusSocket(tmp_path, lambda: b"alive")
        await answers.open()
        assert await ask(tmp_path) == b"alive"
        await answers.close()

    asyncio.run(scenario())


def test_another_file_of_its_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "status.sock").write_text("mine")

    with pytest.raises(StatusRefused, match="is in the way"):
        asyncio.run(StatusSocket(tmp_path, lambda: b"").open())

    assert (tmp_path / "status.sock").read_text() == "mine"


def test_a_path_longer_than_an_address_works_too(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()

    async def scenario() -> None:
        answers = StatusSocket(folder, lambda: b"far")
        await answers.open()
        assert await ask(folder) == b"far"
        await answers.close()

    asyncio.run(scenario())


def test_who_asks_and_does_not_read_holds_nobody_up(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("gateways.adapters.status_socket._ANSWER_S", 0.1)

    async def scenario() -> None:
        answers = StatusSocket(tmp_path, lambda: b"x" * 3_000_000)
        await answers.open()
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.settimeout(2)
            deaf.connect(str(tmp_path / "status.sock"))
            assert len(await ask(tmp_path)) == 3_000_000
            await asyncio.sleep(0.3)
            got = 0
            while some := await asyncio.to_thread(deaf.recv, 1 << 20):
                got += len(some)
            assert got < 3_000_000  # too late: it was hung up on
            await answers.close()

    asyncio.run(scenario())


def test_a_gateway_that_hangs_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        answers = StatusSocket(tmp_path, lambda: b"late")
        await answers.open()
        asking = asyncio.create_task(ask(tmp_path, within_s=0.1))
        await asyncio.sleep(0)
        time.sleep(0.4)  # noqa: ASYNC251 - the loop hangs
        with pytest.raises(StatusAway, match="the gateway hangs"):
            await asking
        await answers.close()

    asyncio.run(scenario())
