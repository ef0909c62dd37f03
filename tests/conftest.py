"""What all tests share: in CI no test that needs a real server may be skipped."""

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

_DISK_OF_MEMORY = Path("/dev/shm")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],  # noqa: ARG001 - pytest's signature
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if os.environ.get("CI") and report.skipped and item.get_closest_marker("server"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, which CI does not allow: {report.longrepr}"
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Torture runs only when asked for by `-m torture`."""
    if "torture" in (config.option.markexpr or ""):
        return
    chosen = [item for item in items if item.get_closest_marker("torture") is None]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


@pytest.fixture
def uncounted() -> Iterator[None]:
    """For a test of very many steps through few lines: coverage does not count them.

    Counting costs such a test five times its own time, and others cover the same lines.
    pytest-cov's `no_cover` means the same and does nothing in xdist's workers.
    """
    counting = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(counting)


@pytest.fixture
def light_folder(tmp_path: Path) -> Iterator[Path]:
    """Where a sync costs nothing: for very many small databases that are about something else."""
    if not os.access(_DISK_OF_MEMORY, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=_DISK_OF_MEMORY, prefix="nenghao-") as folder:
        yield Path(folder)
