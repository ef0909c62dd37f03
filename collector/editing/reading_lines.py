"""Reading lines: a sheet of readings in long form -> chunks of readings, no line lost.

Columns `meter,at,quantity,value`; lines of one meter and instant become one reading.
Bounded memory: a chunk at a time.
"""

from collections.abc import Iterator
from math import isfinite

from msgspec import Struct

from collector.editing.period import OffsetMissing, TimeInvalid, instant_ms
from collector.editing.sheet import Sheet, SheetLine
from collector.store import CONFLICT
from metering.reading import Reading

COLUMNS = ("meter", "at", "quantity", "value")
LINES_AT_ONCE = 4000


class RefusedLine(Struct, frozen=True, kw_only=True):
    """A line that was not taken: where, what stood there, why, and that in Chinese."""

    line: int
    text: str
    reason: str
    message: str


class Chunk(Struct, kw_only=True):
    """A few thousand lines, parsed.

    Attributes:
        lines: how many; each is in `readings`, or repeated, or refused.
        readings: the readings they make.
        places: for each reading the line of each of its quantities.
        texts: the lines that are in `readings`, by number.
        repeated: lines that say again what one of this chunk said.
        refused: lines that say nothing, or contradict one of this chunk.
    """

    lines: int = 0
    readings: list[Reading] = []
    places: list[dict[str, int]] = []
    texts: dict[int, str] = {}
    repeated: int = 0
    refused: list[RefusedLine] = []


def chunks(
    sheet: Sheet, *, assume_shanghai: bool = False, lines_at_once: int = LINES_AT_ONCE
) -> Iterator[Chunk]:
    """Every line of a sheet, a chunk at a time; no chunk is empty."""
    parser = _Parser(sheet.columns, assume_shanghai=assume_shanghai)
    for line in sheet:
        parser.take(line)
        if parser.chunk.lines >= lines_at_once:
            yield parser.cut()
    if parser.chunk.lines:
        yield parser.cut()


class _Parser:
    def __init__(self, columns: dict[str, int], *, assume_shanghai: bool) -> None:
        self._meter, self._at, self._quantity, self._value = (columns[name] for name in COLUMNS)
        self._assume_shanghai = assume_shanghai
        self._known: dict[tuple[str, int], int] = {}
        self.chunk = Chunk()

    def cut(self) -> Chunk:
        """The chunk so far; another begins."""
        done, self.chunk, self._known = self.chunk, Chunk(), {}
        return done

    def take(self, line: SheetLine) -> None:
        self.chunk.lines += 1
        cells = line.cells or []
        try:
            meter = cells[self._meter].strip()
            at_ms = instant_ms(cells[self._at].strip(), assume_shanghai=self._assume_shanghai)
            quantity = cells[self._quantity].strip()
            value = number(cells[self._value])
        except (ValueError, IndexError, TimeInvalid):
            self._refuse(line, *self._why(line))
            return
        if meter and quantity:
            self._keep(line, meter, at_ms, quantity, value)
        else:
            self._refuse(line, *self._why(line))

    def _keep(self, line: SheetLine, meter: str, at_ms: int, quantity: str, value: float) -> None:
        chunk = self.chunk
        place = self._known.get((meter, at_ms))
        if place is None:
            self._known[meter, at_ms] = len(chunk.readings)
            chunk.readings.append(Reading(meter=meter, at_ms=at_ms, values={quantity: value}))
            chunk.places.append({quantity: line.number})
        else:
            values, places = chunk.readings[place].values, chunk.places[place]
            stands = values.setdefault(quantity, value)
            if places.setdefault(quantity, line.number) != line.number:
                self._again(line, stands, value, places[quantity])
                return
        chunk.texts[line.number] = line.text

    def _again(self, line: SheetLine, stands: float, value: float, first: int) -> None:
        if stands == value:
            self.chunk.repeated += 1
        else:
            message = f"与第 {first} 行是同一时刻的同一个量，那里的值是 {stands!r}：以先出现的为准"
            self._refuse(line, CONFLICT, message)

    def _refuse(self, line: SheetLine, reason: str, message: str) -> None:
        self.chunk.refused.append(
            RefusedLine(line=line.number, text=line.text, reason=reason, message=message)
        )

    def _why(self, line: SheetLine) -> tuple[str, str]:
        """What is wrong with a line; the first thing."""
        cells = line.cells
        if cells is None:
            return UNREADABLE
        if len(cells) <= max(self._meter, self._at, self._quantity, self._value):
            return "columns", f"只有 {len(cells)} 列"
        try:
            instant_ms(cells[self._at].strip(), assume_shanghai=self._assume_shanghai)
        except TimeInvalid as error:
            reason = "no_offset" if isinstance(error, OffsetMissing) else "bad_time"
            return reason, str(error)
        for place, what in ((self._meter, "表号 meter"), (self._quantity, "量 quantity")):
            if not cells[place].strip():
                return "empty", f"没有{what}"
        return why_no_number(cells[self._value])


UNREADABLE = ("unreadable", "编码或引号有误，无法分列")


def number(text: str) -> float:
    """A finite number as files hold it; anything else is a ValueError."""
    value = float(text)
    if not isfinite(value) or "_" in text:  # Python takes 1_000, nobody else does
        raise ValueError(text)
    return value


def why_no_number(text: str) -> tuple[str, str]:
    """What is wrong with a text that is no `number`."""
    if not text.strip():
        return "no_value", "没有值：空着不等于 0"
    try:
        float(text)
    except ValueError:
        return "bad_value", f"'{text.strip()}' 不是数"
    return "not_finite" if "_" not in text else "bad_value", f"'{text.strip()}' 不是有限的数"
