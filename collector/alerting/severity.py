"""Severity: the four colours of a warning, 蓝 to 红; configuration says what each means."""

from enum import StrEnum


class Severity(StrEnum):
    """Colours in rising order; compare by `rank`."""

    BLUE = "blue"  # 蓝
    YELLOW = "yellow"  # 黄
    ORANGE = "orange"  # 橙
    RED = "red"  # 红

    @property
    def rank(self) -> int:
        return _RANKS[self]

    @property
    def colour(self) -> str:
        return "蓝黄橙红"[self.rank]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}
