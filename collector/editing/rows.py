"""Rows: readings and intervals -> the cells of a CSV file, exactly; missing is empty, never 0."""

from collector.settle.series import PER_UNIT

READING_COLUMNS = ("meter", "at", "quantity", "value")
INTERVAL_COLUMNS = (
    "meter",
    "start",
    "energy",
    "value",
    "unit",
    "measured",
    "estimated",
    "missing",
    "rules",
    "edited",
    "version",
)
_DIGITS = 6


def millionths(value: int | None) -> str:
    """A whole number of millionths as a decimal: sums of what is printed are exact."""
    if value is None:
        return ""
    whole, rest = divmod(abs(value), PER_UNIT)
    sign = "-" if value < 0 else ""
    digits = f"{rest:0{_DIGITS}d}".rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def share(value: float) -> str:
    """A share of 0 to 1, up to four decimals."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def number(value: float) -> str:
    """A reading's value, so that reading it again gives the same float."""
    return repr(value).removesuffix(".0")
