"""Codes: the texts that name things in a fleet document, each checked by its form.

**Source** of the building and energy codes: 分项能耗数据采集技术导则 (住建部, 2008) as public
implementations encode it. Only the form is checked: the code tables differ from place to place.
"""

from datetime import date, datetime, timedelta, timezone
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from collector.fleet.bus_url import parse_bus_url
from documents.nearest import suggestion
from documents.strict import matching
from metering.quantity import QUANTITIES

# Fixed, not a zone name: China has had no daylight saving since 1991, and a gateway box may come
# without a zone database.
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")

_ELECTRICITY = "01"


def midnight_ms(day: date) -> int:
    """Epoch ms of the instant at which `day` begins in Shanghai: 16:00 UTC of the day before."""
    return int(datetime(day.year, day.month, day.day, tzinfo=SHANGHAI).timestamp()) * 1000


def local_day(at_ms: int) -> date:
    """The day in Shanghai at an instant."""
    return datetime.fromtimestamp(at_ms / 1000, tz=SHANGHAI).date()


def _energy_of_its_class(code: str) -> str:
    if code[2:] != "000" and code[:2] != _ELECTRICITY:
        raise ValueError(
            f"'{code}' gives an item (分项) to class {code[:2]}; only electricity (01) has items, "
            f'write "{code[:2]}000"'
        )
    return code


def _known_quantity(name: str) -> str:
    if name not in QUANTITIES:
        meant = suggestion(name, QUANTITIES)
        raise ValueError("; ".join(part for part in ("unknown quantity", meant) if part))
    return name


def _low_then_high(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = limits
    if low >= high:
        raise ValueError(f"[lowest, highest] is needed, [{low:g}, {high:g}] came")
    return limits


def _day(value: object) -> date:
    if isinstance(value, date):
        return value
    try:
        # strptime and not fromisoformat: the latter takes 20260101 and 2026-W01-1 as well.
        return datetime.strptime(str(value), "%Y-%m-%d").replace(tzinfo=SHANGHAI).date()
    except ValueError:
        raise ValueError(f"a day like \"2026-01-31\" is needed, '{value}' came") from None


def _bus_url(url: str) -> str:
    parse_bus_url(url)
    return url


Id = Annotated[
    str,
    # MQTT topics, file names and URLs carry it: no `+`, `#`, `/`, no capitals.
    matching(
        "[a-z0-9][a-z0-9-]{0,62}",
        "an id of small letters, digits and '-' (at most 63, not '-' first)",
    ),
]
ModelId = Annotated[
    str,
    matching("[a-z0-9][a-z0-9_]{0,62}", "a meter model, the name of its file without '.yaml',"),
]
DistrictCode = Annotated[str, matching("[0-9]{6}", "a district code of six digits")]
BuildingCode = Annotated[
    str,
    matching(
        "[0-9]{6}[A-HZ][0-9]{3}",
        'a building code (six digits, A to H or Z, three digits, like "120101E001")',
    ),
]
GatewayCode = Annotated[str, matching("[0-9]{2}", "a gateway code of two digits")]
PointCode = Annotated[str, matching("[0-9]{3}", "a collection point code of three digits")]
EnergyCode = Annotated[
    str,
    matching(
        "[0-9]{2}(000|[A-Z][0-9A-Z]{2})",
        'an energy code of five characters (class, item, two sub-items, like "01B10")',
    ),
    AfterValidator(_energy_of_its_class),
]
QuantityName = Annotated[str, AfterValidator(_known_quantity)]
Limits = Annotated[tuple[float, float], AfterValidator(_low_then_high)]
Day = Annotated[date, BeforeValidator(_day)]
BusUrl = Annotated[str, AfterValidator(_bus_url)]
