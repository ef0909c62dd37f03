"""Flash: what a spool writes to its disk in a day, by what the kernel says of the block device.

The spool lies on an ext4 image of its own, on a loop device; the kernel counts that device's
sectors, the file system's journal and all. Time is made short: after as many batches as five
seconds bring, everything dirty is written out, as the kernel would do by itself. Without the right
to mount there is only what the process itself handed over.
"""

import os
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from ctypes import CDLL
from pathlib import Path

from msgspec import Struct

from benchmarks.figure import Figure, Result
from benchmarks.scale import Scale
from gateways.adapters.sqlite import SqliteSpool
from gateways.spool.group import Asked, Portion, Word, append_at_once
from gateways.spool.seal import Sealer
from metering.batch import BatchKey, ClockState, Sealed
from metering.delivery.ranges import Ranges
from metering.delivery.sender import EpochBook
from metering.reading import Reading

_DAY_S = 86_400
_SECTOR = 512
_WARM = 500  # steps before anything is counted: the log has reached its size then
_TICK_S = 0.005  # so that a file's time of change differs from batch to batch, as in the field
_EPOCH = "01JD0000000000000000000000"
_AT_MS = 1_780_000_000_000
_IMAGE_BYTES = 256 << 20
_WALKS = {
    **{f"voltage_l{n}_v": (231.0, 0.4, 1) for n in (1, 2, 3)},
    **{f"current_l{n}_a": (14.0, 0.8, 3) for n in (1, 2, 3)},
    **{f"active_power_l{n}_kw": (3.1, 0.2, 3) for n in (1, 2, 3)},
    **{f"reactive_power_l{n}_kvar": (0.9, 0.05, 3) for n in (1, 2, 3)},
    "active_power_kw": (9.3, 0.4, 3),
    "reactive_power_kvar": (2.7, 0.1, 3),
    "apparent_power_kva": (9.7, 0.4, 3),
    "power_factor": (0.96, 0.01, 3),
    "frequency_hz": (50.0, 0.02, 2),
    "current_avg_a": (14.0, 0.5, 3),
    "energy_import_kwh": (88_000.0, 9.0, 2),
    "reactive_energy_kvarh": (21_000.0, 3.0, 2),
}


class Load(Struct, frozen=True, kw_only=True):
    """What buses bring.

    Attributes:
        buses: how many, each with its own batch.
        every_s: how often each.
        meters: in a batch, with 20 values each.
        cycles: of these meters in one batch.
        together: all buses' batches go to the disk in one step.
    """

    every_s: float
    buses: int = 1
    meters: int = 4
    cycles: int = 1
    together: bool = False

    @property
    def steps_a_day(self) -> float:
        return _DAY_S / (self.every_s * self.cycles)


class Written(Struct, frozen=True, kw_only=True):
    """Bytes a day; `device` is None where no image could be mounted."""

    device: float | None
    process: float
    batch: float


Writer = Callable[[list[Sealed], bool], None]
MINUTE = Load(every_s=60)
MINUTE_50 = Load(every_s=60, meters=50)
SECOND = Load(every_s=1)
SECOND_50 = Load(every_s=1, meters=50)
THREE = Load(every_s=1, buses=3)
_GROUPED = {
    seconds: Load(every_s=1, buses=3, cycles=seconds, together=True) for seconds in (1, 2, 5)
}


def measure(scale: Scale) -> Result:
    steps = scale.flash_steps
    figures = [
        _figure("每分钟一批 one batch a minute", MINUTE, steps, aim=10.0),
        _figure("每秒一批 one batch a second", SECOND, steps, aim=600.0),
        _figure("50 台表每分钟一批 50 meters, one a minute", MINUTE_50, steps),
        _figure("50 台表每秒一批 50 meters, one a second", SECOND_50, steps),
        _figure("三条总线各每秒一批 three buses, one a second each", THREE, steps),
    ]
    figures += [
        _figure(f"三条总线 three buses, group_s: {seconds}", load, steps)
        for seconds, load in _GROUPED.items()
    ]
    figures.append(_figure("每分钟一批 one a minute, spool full", MINUTE, steps, is_full=True))
    figures.append(_figure("每秒一批 one a second, spool full", SECOND, steps, is_full=True))
    for what, load in (("每分钟一批 one a minute", MINUTE), ("每秒一批 one a second", SECOND)):
        figures.append(_figure(f"{what}, naive", load, steps, open_writer=_naive))
    return Result(figures=tuple(figures))


def _figure(
    what: str,
    load: Load,
    steps: int,
    *,
    aim: float | None = None,
    is_full: bool = False,
    open_writer: Callable[[Path], Iterator[Writer]] | None = None,
) -> Figure:
    chosen = open_writer or (_full if is_full else _ours)
    found = written(load, steps, contextmanager(chosen))
    wrote = f"the process wrote {found.process / 1e6:,.1f} MB"
    handed = f"{found.batch / 1000:.1f} kB a batch as sent; {wrote}"
    return Figure(
        section="flash, a day",
        what=what,
        value=(found.process if found.device is None else found.device) / 1e6,
        unit="MB",
        digits=1,
        aim=aim,
        note=handed if found.device is not None else f"no mount: {handed}",
    )


def written(load: Load, steps: int, open_writer: Callable) -> Written:
    """What a day of such a load writes, from so many steps of it."""
    with ExitStack() as stack:
        disk = stack.enter_context(_disk())
        write = stack.enter_context(open_writer(disk.folder / "spool"))
        batches = _batches(load)
        rides_every = max(1, round(10 / (load.every_s * load.cycles)))
        settles_every = max(1, round(5 / (load.every_s * load.cycles)))
        size = 0
        for step in range(_WARM + steps):
            if step == _WARM:
                before = disk.look()
            sealed = next(batches)
            for some in (sealed,) if load.together else ([each] for each in sealed):
                write(some, step % rides_every == 0)
            size += sum(len(each.payload) for each in sealed)
            if step % settles_every == 0:
                disk.settle()
            time.sleep(_TICK_S)
        disk.settle()
        device, process = (after - was for after, was in zip(disk.look(), before, strict=True))
    a_day = load.steps_a_day / steps
    return Written(
        device=device * a_day if disk.is_counted else None,
        process=process * a_day,
        batch=size / (_WARM + steps) / load.buses,
    )


# ---- who writes


def _ours(folder: Path) -> Iterator[Writer]:
    """As the keeper does: what came together in one step, the word of commits with it."""
    with closing(SqliteSpool(folder)) as spool:
        spool.mint(_EPOCH)
        yield lambda sealed, rides: _keep(spool, sealed, rides=rides)


def _full(folder: Path) -> Iterator[Writer]:
    """The same at the size cap: what comes displaces the oldest."""
    with closing(SqliteSpool(folder)) as spool:
        spool.mint(_EPOCH)
        limit = 0
        for kept, sealed in enumerate(_batches(MINUTE)):
            sequence = kept + 1_000_000
            renamed = Sealed(
                key=BatchKey(_EPOCH, sequence),
                digest=sealed[0].digest,
                payload=sealed[0].payload,
                content_type=sealed[0].content_type,
            )
            _keep(spool, [renamed], rides=False)
            if kept == 2_000:
                break
        limit = spool.size()
        spool.mint(_EPOCH + "2")

        def write(sealed: list[Sealed], rides: bool) -> None:  # noqa: FBT001 - the shape of a Writer
            moved = [
                Sealed(
                    key=BatchKey(_EPOCH + "2", each.key.sequence),
                    digest=each.digest,
                    payload=each.payload,
                    content_type=each.content_type,
                )
                for each in sealed
            ]
            _keep(spool, moved, rides=rides)
            spool.prune(committed_before_ms=0, size_limit=limit)

        yield write


def _keep(spool: SqliteSpool, sealed: list[Sealed], *, rides: bool) -> None:
    portions = [
        (Asked(lambda _key: (), _AT_MS), Portion(sealed=each, readings=1)) for each in sealed
    ]
    epoch, last = sealed[-1].key
    book = EpochBook(epoch=epoch, next=last, committed=Ranges.span(1, last - 1))
    books = tuple(b for b in spool.books() if b.epoch != epoch) if rides else ()
    append_at_once(spool, portions, Word("heping-1", 1, (*books, book)) if rides else None)


def _naive(folder: Path) -> Iterator[Writer]:
    """SQLite as it comes, and a transaction for each batch and each commit."""
    folder.mkdir()
    with closing(sqlite3.connect(folder / "spool.sqlite", isolation_level=None)) as sql:
        sql.execute("PRAGMA journal_mode=WAL")
        sql.execute("PRAGMA synchronous=FULL")
        sql.execute("CREATE TABLE batch (sequence INTEGER, digest TEXT, payload BLOB)")
        sql.execute("CREATE UNIQUE INDEX batch_key ON batch (sequence)")
        sql.execute("CREATE TABLE epoch (committed TEXT)")
        sql.execute("INSERT INTO epoch VALUES ('')")

        def write(sealed: list[Sealed], rides: bool) -> None:  # noqa: FBT001 - the shape of a Writer
            for each in sealed:
                row = (each.key.sequence, each.digest, each.payload)
                sql.execute("INSERT INTO batch VALUES (?, ?, ?)", row)
            if rides:
                sql.execute("UPDATE epoch SET committed=?", (f"[[1, {sealed[-1].key.sequence}]]",))

        yield write


def _batches(load: Load) -> Iterator[list[Sealed]]:
    """Values that walk, as meters' do."""
    rng = random.Random(1)  # noqa: S311 - not a secret
    sealer = Sealer("gw-e001")
    now = {
        (meter, quantity): start + meter
        for meter in range(load.meters * load.buses)
        for quantity, (start, _step, _digits) in _WALKS.items()
    }
    sequence, at_ms = 0, _AT_MS
    while True:
        brought = [
            [
                _reading(meter, at_ms + cycle * 1000, now, rng)
                for cycle in range(load.cycles)
                for meter in range(bus * load.meters, (bus + 1) * load.meters)
            ]
            for bus in range(load.buses)
        ]
        step = []
        for readings in brought:
            after = BatchKey(_EPOCH, sequence)
            [(sealed, _)] = sealer.seal(readings, after, at_ms=at_ms, clock=ClockState.SYNCED)
            sequence += 1
            step.append(sealed)
        yield step
        at_ms += int(load.every_s * load.cycles * 1000)


def _reading(
    meter: int, at_ms: int, now: dict[tuple[int, str], float], rng: random.Random
) -> Reading:
    values = {}
    for quantity, (_start, step, digits) in _WALKS.items():
        move = rng.uniform(0, step) if "energy" in quantity else rng.uniform(-step, step)
        now[meter, quantity] = round(now[meter, quantity] + move, digits)
        values[quantity] = now[meter, quantity]
    return Reading(meter=f"e001-m{meter:02d}", at_ms=at_ms + meter * 11, values=values)


# ---- the disk


class _Disk:
    """A folder, and what the kernel counted for the device below it."""

    def __init__(self, folder: Path, device: str | None) -> None:
        self.folder = folder
        self.is_counted = device is not None
        self._stat = Path(f"/sys/block/{device}/stat")

    def look(self) -> tuple[int, int]:
        """Bytes written so far: to the device, by this process."""
        sectors = int(self._stat.read_text(encoding="ascii").split()[6]) if self.is_counted else 0
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
        handed = next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))
        return sectors * _SECTOR, handed

    def settle(self) -> None:
        """What is dirty is written out, as the kernel does by itself a while later."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            if self.is_counted:
                CDLL(None).syncfs(handle)
        finally:
            os.close(handle)


@contextmanager
def _disk() -> Iterator[_Disk]:
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder, image = Path(place) / "disk", Path(place) / "image"
        folder.mkdir()
        yield _Disk(folder, _mounted(image, folder, stack))


def _mounted(image: Path, folder: Path, stack: ExitStack) -> str | None:
    """The device's name; None where we may not."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("mkfs.ext4", "losetup", "mount"))):
        return None
    with image.open("wb") as file:
        file.truncate(_IMAGE_BYTES)
    _run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
    try:
        loop = _run("losetup", "--find", "--show", str(image))
        stack.callback(_run, "losetup", "--detach", loop)
        _run("mount", loop, str(folder))
    except subprocess.CalledProcessError:
        return None
    stack.callback(_run, "umount", str(folder))
    return Path(loop).name


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
