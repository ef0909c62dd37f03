"""Shape: what a consumer is and the local hour -> how much of its peak it takes, 0 to about 1.

Engineering curves, meant to be plausible and to have the features that rules look for: night base
load, weekends, school holidays, summer cooling, the heating season, the sun.
"""

from enum import StrEnum
from math import cos, pi

from msgspec import Struct

from gateways.simulator.chance import between

HOURS = 24
_SUNDAY = 6
_YEAR_DAYS = 365.2425


class Use(StrEnum):
    """What energy is used for; it decides how season and weekend act."""

    GENERAL = "general"
    COOLING = "cooling"  # air conditioning
    STEADY = "steady"  # data centre, laundry, kitchen: follows people less
    SUN = "sun"
    WATER = "water"
    GAS = "gas"
    HEAT = "heat"  # district heating
    COLD = "cold"


class Sector(StrEnum):
    """Whose rhythm it is."""

    HOSPITAL = "hospital"
    SCHOOL = "school"
    GOVERNMENT = "government"


class Consumer(Struct, frozen=True, kw_only=True):
    """One load. `peak` is in the unit of its rate (kW, m³/h)."""

    sector: Sector
    use: Use
    peak: float
    seed: int


# Share of the peak by hour, workday and weekend.
_RHYTHM: dict[Sector, tuple[tuple[float, ...], tuple[float, ...]]] = {
    Sector.HOSPITAL: (
        (.50, .48, .47, .47, .48, .52, .62, .78, .92, .98, 1.0, .98,
         .92, .94, .97, .96, .92, .84, .78, .74, .70, .65, .58, .53),
        (.48, .46, .45, .45, .46, .48, .53, .60, .66, .70, .72, .71,
         .69, .68, .68, .67, .66, .65, .64, .62, .60, .57, .53, .50),
    ),
    Sector.SCHOOL: (
        (.13, .12, .12, .12, .12, .14, .30, .65, .92, .98, 1.0, .96,
         .80, .85, .97, .98, .90, .60, .42, .38, .34, .26, .18, .14),
        (.13, .12, .12, .12, .12, .12, .14, .17, .20, .22, .22, .22,
         .21, .21, .21, .20, .19, .18, .17, .16, .15, .14, .14, .13),
    ),
    Sector.GOVERNMENT: (
        (.16, .15, .15, .15, .15, .17, .26, .55, .90, .98, 1.0, .95,
         .78, .86, .97, .98, .94, .66, .40, .30, .25, .21, .18, .17),
        (.16, .15, .15, .15, .15, .15, .16, .18, .21, .23, .23, .23,
         .22, .22, .22, .22, .21, .19, .18, .18, .17, .17, .16, .16),
    ),
}  # fmt: skip
_FLATTEST = {Use.STEADY: 0.7, Use.GAS: 0.2, Use.HEAT: 0.75, Use.WATER: 0.1}


def levels(consumer: Consumer, day: int) -> list[float]:
    """The rate at the beginning of each of the 24 hours of a day.

    Args:
        consumer: who.
        day: days since 1970-01-01, local time.
    """
    hours = range(HOURS)
    if consumer.use is Use.SUN:
        return [consumer.peak * _sun(day, hour, consumer.seed) for hour in hours]
    rhythm = _RHYTHM[consumer.sector][weekday(day) >= _SUNDAY - 1]
    flat = _FLATTEST.get(consumer.use, 0.0)
    mood = between(consumer.seed, day, 0.92, 1.08)
    height = consumer.peak * mood * _season(consumer, day)
    return [
        height
        * (flat + (1 - flat) * rhythm[hour])
        * between(consumer.seed, day * HOURS + hour, 0.97, 1.03)
        for hour in hours
    ]


def weekday(day: int) -> int:
    """Monday is 0; 1970-01-01 was a Thursday."""
    return (day + 3) % 7


def warmth(day: int) -> float:
    """-1 in the middle of January, 1 in the middle of July."""
    return -cos(2 * pi * (year_day(day) - 15) / _YEAR_DAYS)


def year_day(day: int) -> float:
    """Days since about the first of January."""
    return day % _YEAR_DAYS


def _season(consumer: Consumer, day: int) -> float:
    summer, winter = max(0.0, warmth(day)), max(0.0, -warmth(day))
    factors = {
        Use.GENERAL: 0.72 + 0.26 * summer + 0.12 * winter,
        Use.COOLING: 0.12 + 0.86 * summer + 0.30 * winter,
        Use.STEADY: 0.90 + 0.08 * summer,
        Use.WATER: 0.80 + 0.18 * summer,
        Use.GAS: 0.35 + 0.60 * winter,
        Use.HEAT: winter if _is_heated(day) else 0.0,
        Use.COLD: summer,
    }
    away = 0.35 if consumer.sector is Sector.SCHOOL and _is_school_holiday(day) else 1.0
    return factors[consumer.use] * away


def _is_heated(day: int) -> bool:
    """15 November to 15 March, Tianjin's heating season by rule."""
    return not 74 <= year_day(day) < 318  # noqa: PLR2004 - 15 March and 15 November


def _is_school_holiday(day: int) -> bool:
    at = year_day(day)
    return 14 <= at < 46 or 190 <= at < 243  # noqa: PLR2004 - mid January on, 10 July to August


def _sun(day: int, hour_of_day: int, seed: int) -> float:
    """Clear-sky bell over the day's length, under the day's clouds."""
    daylight = 12 + 2.8 * warmth(day - 24)  # hours at 39° north; the solstice is in June
    from_noon = (hour_of_day - 12.2) / daylight
    if abs(from_noon) >= 0.5:  # noqa: PLR2004 - sunrise and sunset
        return 0.0
    clouds = between(seed, day, 0.25, 1.0) * between(seed, day * HOURS + hour_of_day, 0.85, 1.0)
    return cos(pi * from_noon) * clouds * (0.8 + 0.2 * warmth(day))
