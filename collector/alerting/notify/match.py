"""Match: an alert and what is wanted -> whether it is one of those."""

from collections.abc import Mapping

from msgspec import Struct

from collector.alerting.alert import Alert

_PLACE = ("district", "street", "institution", "building", "energy")
ATTRIBUTES = (
    *_PLACE,
    "sector",
    "gateway",
    "meter",
    "upstream",
    "rule",
    "group",
    "severity",
    "subject",
)


class Matcher(Struct, frozen=True):
    """Every attribute must have one of the values named for it; nothing named: every alert.

    Attributes:
        wanted: (attribute, values); a value may end in '*'.
    """

    wanted: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def holds(self, alert: Alert) -> bool:
        return all(_one_of(values_of(alert, name), values) for name, values in self.wanted)

    @property
    def everything(self) -> bool:
        return not self.wanted


def matches(alert: Alert, matcher: Mapping[str, str]) -> bool:
    """Whether a silence's matcher holds; one that says nothing, or nothing known, never does."""
    return bool(matcher) and all(
        name in ATTRIBUTES and _one_of(values_of(alert, name), (value,))
        for name, value in matcher.items()
    )


def values_of(alert: Alert, name: str) -> tuple[str, ...]:
    """What an alert has as an attribute; several where each of them counts, none where it lacks it.

    A subject is named by its kind, its id, or both ("meter:e001-main").
    """
    place, subject = alert.place, alert.subject
    if name in _PLACE:
        found: tuple[str | None, ...] = (getattr(place, name),)
    else:
        found = {
            "sector": (place.sector,),
            "gateway": (place.gateway,),
            "meter": (place.meter,),
            "upstream": place.upstream,
            "rule": (alert.rule,),
            "group": (group_of(alert),),
            "severity": (alert.severity,),
            "subject": (subject.kind, subject.id, f"{subject.kind}:{subject.id}"),
        }[name]
    return tuple(str(value) for value in found if value)


def group_of(alert: Alert) -> str:
    """The matter of which an alert's rule is a level, or the rule."""
    return alert.group or alert.rule


def _one_of(has: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return any(_same(one, value) for one in has for value in wanted)


def _same(has: str, wanted: str) -> bool:
    return has.startswith(wanted[:-1]) if wanted.endswith("*") else has == wanted
