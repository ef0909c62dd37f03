"""Subject: whom an alert is about, and where that stands in the district."""

from enum import StrEnum

from msgspec import Struct

from collector.fleet.index import Sector


class SubjectKind(StrEnum):
    METER = "meter"
    BUILDING = "building"
    INSTITUTION = "institution"
    GATEWAY = "gateway"
    BUDGET = "budget"  # institution/energy/period: "e001/01/2026"
    SYSTEM = "system"  # a part of the centre: database, broker, a channel, a job


class Subject(Struct, frozen=True):
    """One of them, by id: the key of an alert is (rule, subject)."""

    kind: SubjectKind
    id: str


class Place(Struct, frozen=True, kw_only=True):
    """Where a subject stands: what routes, silences and inhibitions look at.

    Attributes:
        street: 街道, as the fleet names it; empty where it does not, and for the system.
        gateway: through which the subject is read; None for what is not read by one gateway.
        energy: the five-character energy code of a meter; of a budget the beginning of one.
        upstream: a meter's mains, the nearest first.
    """

    district: str = ""
    street: str = ""
    sector: Sector | None = None
    institution: str = ""
    building: str = ""
    gateway: str | None = None
    meter: str | None = None
    energy: str = ""
    upstream: tuple[str, ...] = ()
