"""Inspection: a gateway's settings, or a cut -> its meters, and everything that is wrong at once.

It touches nothing: the spool's folder is not made, no secret is shown, no meter is asked.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from documents.finding import DocumentInvalid
from documents.secret import SecretMissing
from documents.settings import BrokerSettings
from documents.tree import read_tree
from gateways.bus_url import Transport, is_stable
from gateways.commission.cut import CheckedBus, check_cut
from gateways.cut import CutInvalid, load_cut
from gateways.settings import GatewaySettings, load_settings
from link.broker import broker_of

_TLS_FILES = ("ca_file", "certificate_file", "key_file")


class Defect(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or, as a warning, has to be looked at.

    Attributes:
        file: where.
        line: 0 where the file has none or it is not known.
        key: in the file; empty for the file as a whole.
        message: what was asked and what came.
        warning: the gateway would start all the same.
    """

    file: str
    line: int = 0
    key: str = ""
    message: str
    warning: bool = False


class Inspection(Struct, frozen=True, kw_only=True):
    """What was found, and the buses that can be read."""

    defects: tuple[Defect, ...]
    buses: tuple[CheckedBus, ...]

    @property
    def errors(self) -> tuple[Defect, ...]:
        return tuple(defect for defect in self.defects if not defect.warning)


def inspect(file: Path, environ: Mapping[str, str]) -> Inspection:
    """Look at everything that `nenghao gateway run` would need.

    Args:
        file: a gateway's settings, or a cut (`.json`).
        environ: where secrets may be.
    """
    if file.suffix == ".json":
        return _inspect_cut(file, ())
    try:
        settings = load_settings(file)
    except DocumentInvalid as error:
        defects = tuple(
            Defect(file=f.file, line=f.line, key=f.key, message=f.message) for f in error.findings
        )
        cut = _named_cut(file)
        return _inspect_cut(cut, defects) if cut else Inspection(defects=defects, buses=())
    defects = (
        *_spool_defects(file, settings),
        *_broker_defects(file, settings.broker, environ),
    )
    return _inspect_cut(file.parent / settings.fleet, defects)


def _named_cut(file: Path) -> Path | None:
    """The cut that settings name which are wrong elsewhere."""
    try:
        content = read_tree(file).value
    except DocumentInvalid:
        return None
    named = content.get("fleet") if isinstance(content, dict) else None
    return file.parent / named if isinstance(named, str) else None


def _inspect_cut(file: Path, before: tuple[Defect, ...]) -> Inspection:
    try:
        cut = load_cut(file)
    except CutInvalid as error:
        message = str(error).removeprefix(f"{file}: ")
        return Inspection(defects=(*before, Defect(file=str(file), message=message)), buses=())
    checked = check_cut(cut.buses, cut.models)
    mistakes = (
        Defect(file=str(file), key=m.key, message=m.message, warning=m.warning)
        for m in checked.mistakes
    )
    ports = (defect for bus in checked.buses for defect in _port_defects(file, bus))
    return Inspection(defects=(*before, *mistakes, *ports), buses=checked.buses)


def _spool_defects(file: Path, settings: GatewaySettings) -> Iterator[Defect]:
    folder = file.parent / settings.spool.folder
    # What is not there yet will be made in the nearest folder that is.
    present = next(each for each in (folder, *folder.parents) if each.exists())
    if not present.is_dir():
        yield _defect(file, "spool.folder", f"{present} 不是文件夹 (is no folder)")
    elif not os.access(present, os.W_OK | os.X_OK):
        yield _defect(file, "spool.folder", f"{present} 不可写 (cannot be written)")


def _broker_defects(
    file: Path, broker: BrokerSettings, environ: Mapping[str, str]
) -> Iterator[Defect]:
    try:
        broker_of(broker, client_id="", environ=environ, folder=file.parent)
    except SecretMissing as error:
        yield _defect(file, "broker", str(error))
    for key in _TLS_FILES:
        named = getattr(broker, key)
        if named is not None and not os.access(file.parent / named, os.R_OK):
            yield _defect(file, f"broker.{key}", f"{file.parent / named} 读不到 (cannot be read)")


def _port_defects(file: Path, bus: CheckedBus) -> Iterator[Defect]:
    url = bus.url
    if url.serial is None or url.transport is not Transport.SERIAL:
        return
    key = f"buses[{bus.path[-1]}].url"
    device = Path(url.serial.device)
    if not device.exists():
        yield _defect(file, key, f"{device} 不存在：查 USB 和驱动 (there is no such port)")
    elif not stat.S_ISCHR(device.stat().st_mode):
        yield _defect(file, key, f"{device} 不是串口 (is no serial port)")
    elif not os.access(device, os.R_OK | os.W_OK):
        yield _defect(file, key, f"{device} 无权打开：加入 dialout 组 (permission denied)")
    if not is_stable(bus.entry.url):
        message = (
            f"{device} 重启或重插后可能改号：改用 /dev/serial/by-id/ 或 "
            "/dev/serial/by-path/ 下的名字 (not a stable name)"
        )
        yield Defect(file=str(file), key=key, message=message, warning=True)


def _defect(file: Path, key: str, message: str) -> Defect:
    return Defect(file=str(file), key=key, message=message)
