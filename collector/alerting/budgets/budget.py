"""Budget: what an institution may use of one energy in one period. Checked and frozen."""

from datetime import date, timedelta

from msgspec import Struct


class Budget(Struct, frozen=True, kw_only=True):
    """One line of the budget.

    Attributes:
        institution: whose.
        energy: the beginning of the energy codes that it covers: "01" all electricity.
        period: as the file says it: "2026", "2026-Q1", "2026-03".
        first, last: its days in Shanghai, both included.
        amount: in `unit`, above 0.
        unit: kWh, m³ or GJ: that of the settled days of this energy.
        profile: planned amounts by month's first day, summing to `amount`; empty: none was planned.
        source: who decided it, and where that stands.
    """

    institution: str
    energy: str
    period: str
    first: date
    last: date
    amount: float
    unit: str
    source: str
    profile: tuple[tuple[date, float], ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        return self.institution, self.energy, self.period

    def days(self) -> tuple[date, ...]:
        """Every day of the period, in order."""
        return tuple(
            self.first + timedelta(days=after) for after in range((self.last - self.first).days + 1)
        )


def period_days(period: str) -> tuple[date, date]:
    """The first and the last day of "2026", "2026-Q1" or "2026-03"."""
    year, _, part = period.partition("-")
    if not part:
        first, months = 1, 12
    elif part.startswith("Q"):
        first, months = 3 * int(part[1:]) - 2, 3
    else:
        first, months = int(part), 1
    after = int(year) * 12 + first - 1 + months
    return date(int(year), first, 1), date(after // 12, after % 12 + 1, 1) - timedelta(days=1)


def months_of(period: str) -> tuple[date, ...]:
    """The first day of each month of a period."""
    first, last = period_days(period)
    return tuple(date(first.year, month, 1) for month in range(first.month, last.month + 1))
