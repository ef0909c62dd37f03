"""Place: a subject -> where it stands in the fleet, and whether a rule concerns it."""

from collections.abc import Collection

from msgspec import structs

from collector.alerting.budgets.budget import period_days
from collector.alerting.rule import Rule
from collector.alerting.subject import Place, Subject, SubjectKind
from collector.fleet.codes import midnight_ms
from collector.fleet.index import Fleet, MeterEntry

_SHOWN_AFTER_MS = 32 * 86_400_000  # a month after its last day a budget's alerts are history


class Places:
    """Of one fleet."""

    def __init__(self, fleet: Fleet, budgets: Collection[str] | None = None) -> None:
        """Know a fleet.

        Args:
            fleet: who is where.
            budgets: ids of those in force; None: nobody asked, each that is named.
        """
        self._fleet = fleet
        self._budgets = budgets
        districts = sorted(fleet.stores)
        self._system = Place(district=districts[0] if len(districts) == 1 else "")

    def place(self, subject: Subject, at_ms: int) -> Place | None:
        """None if the fleet does not know it (any more)."""
        match subject.kind:
            case SubjectKind.METER:
                return self._of_meter(subject.id, at_ms)
            case SubjectKind.BUILDING:
                return self._of_building(subject.id)
            case SubjectKind.INSTITUTION:
                return self._of_institution(subject.id)
            case SubjectKind.GATEWAY:
                return self._of_gateway(subject.id)
            case SubjectKind.BUDGET:
                return self._of_budget(subject.id, at_ms)
            case SubjectKind.SYSTEM:
                return self._system

    def concerns(self, rule: Rule, subject: Subject, at_ms: int) -> bool:
        """Whether the fleet knows the subject and, if it is a meter, the rule's scope holds it.

        A virtual meter is known as long as the fleet has it: a scope speaks of real ones.
        """
        is_virtual = subject.id in self._fleet.virtual_meters
        if subject.kind is not SubjectKind.METER or is_virtual:
            return self.place(subject, at_ms) is not None
        entry = self._fleet.entry(subject.id, at_ms)
        return entry is not None and rule.scope.holds(entry)

    def _of_virtual(self, meter: str, at_ms: int) -> Place | None:
        """Where its first part stands."""
        virtual = self._fleet.virtual_meters[meter]
        entry = self._fleet.entry(virtual.parts[0][0], at_ms)
        if entry is None:
            return None
        place = self._of(entry.institution, building=entry.building)
        return structs.replace(place, meter=meter, energy=virtual.energy)

    def _of_meter(self, meter: str, at_ms: int) -> Place | None:
        if meter in self._fleet.virtual_meters:
            return self._of_virtual(meter, at_ms)
        entry = self._fleet.entry(meter, at_ms)
        if entry is None:
            return None
        return Place(
            district=entry.district,
            sector=entry.sector,
            institution=entry.institution,
            building=entry.building,
            gateway=entry.gateway,
            meter=meter,
            energy=entry.energy,
            upstream=self._upstream(entry, at_ms),
        )

    def _upstream(self, entry: MeterEntry, at_ms: int) -> tuple[str, ...]:
        mains: list[str] = []
        parent = entry.parent
        while parent is not None and parent not in mains:
            mains.append(parent)
            above = self._fleet.entry(parent, at_ms)
            parent = None if above is None else above.parent
        return tuple(mains)

    def _of_building(self, building: str) -> Place | None:
        found = self._fleet.buildings.get(building)
        if found is None:
            return None
        return self._of(found.institution, building=building)

    def _of_institution(self, institution: str) -> Place | None:
        return self._of(institution) if institution in self._fleet.institutions else None

    def _of_budget(self, budget: str, at_ms: int) -> Place | None:
        """None once its period is long over, or where nobody gives it any more."""
        institution, _, rest = budget.partition("/")
        energy, _, period = rest.partition("/")
        if institution not in self._fleet.institutions or not period:
            return None
        over_ms = midnight_ms(period_days(period)[1]) + _SHOWN_AFTER_MS
        if at_ms > over_ms:
            return None
        if self._budgets is not None and budget not in self._budgets:
            return None
        return self._of(institution, energy=energy)

    def _of_gateway(self, gateway: str) -> Place | None:
        found = self._fleet.gateways.get(gateway)
        if found is None:
            return None
        return self._of(found.institution, building=found.building, gateway=gateway)

    def _of(
        self, institution: str, *, building: str = "", gateway: str | None = None, energy: str = ""
    ) -> Place:
        found = self._fleet.institutions[institution]
        return Place(
            district=found.district,
            sector=found.sector,
            institution=institution,
            building=building,
            gateway=gateway,
            energy=energy,
        )
