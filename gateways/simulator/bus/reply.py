"""Reply: what a meter was asked -> the PDU it answers, and the values in it. No bus, no time."""

from collections.abc import Mapping
from struct import Struct as Layout

from msgspec import Struct

from gateways.library.model import LONGEST_READ, Table
from gateways.simulator.fault import FaultKind, Faults, MeterFault
from gateways.simulator.meter import SimulatedMeter

_READ = Layout(">BHH")  # function, address, count
_TABLES = {3: Table.HOLDING, 4: Table.INPUT}
_ERROR_BIT = 0x80
_NO_FUNCTION, _NO_ADDRESS, _NO_COUNT = 1, 2, 3

Read = tuple[Table, int, int]  # address, count


class Reply(Struct, frozen=True):
    """An answer.

    Attributes:
        pdu: from the function code on.
        values: what a correct reader finds in it; none in a refusal.
    """

    pdu: bytes
    values: Mapping[str, float] | None = None


def reply_to(meter: SimulatedMeter, asked: bytes, at_ms: int, faults: Faults) -> Reply:
    """What `meter` answers to the PDU `asked` while it has `faults`."""
    function = asked[0]
    table = _TABLES.get(function)
    if table is None:
        return _refusal(function, _NO_FUNCTION)
    if exception := faults.get(FaultKind.EXCEPTION):
        return _refusal(function, exception.code or 0)
    if len(asked) != _READ.size:
        return _refusal(function, _NO_COUNT)
    _, address, count = _READ.unpack(asked)
    code = _refused(meter, (table, address, count), faults.get(FaultKind.HOLE))
    if code:
        return _refusal(function, code)
    answer = meter.answer(table, address, count, at_ms, faults)
    words = answer.words
    return Reply(
        bytes((function, 2 * count)) + b"".join(w.to_bytes(2, "big") for w in words), answer.values
    )


def _refusal(function: int, code: int) -> Reply:
    return Reply(bytes((function | _ERROR_BIT, code)))


def _refused(meter: SimulatedMeter, read: Read, hole: MeterFault | None) -> int:
    """The exception's code; 0 if it is answered."""
    if hole and (code := _fell_into(hole, read)):
        return code
    if not 1 <= read[2] <= min(meter.longest, LONGEST_READ):
        return _NO_COUNT
    return 0 if meter.has(*read) else _NO_ADDRESS


def _fell_into(hole: MeterFault, read: Read) -> int:
    table, address, count = read
    if hole.table not in (None, table):
        return 0
    if count > hole.longest:
        return hole.code or _NO_COUNT
    touched = any(first < address + count and address <= last for first, last in hole.ranges)
    return (hole.code or _NO_ADDRESS) if touched else 0
