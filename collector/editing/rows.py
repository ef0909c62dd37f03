"""Rows: readings and intervals -> the cells of a CSV file, exactly; missing is empty, never 0."""

from decimal import Decimal

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
    return f"{value:z.4f}".rstrip("0").rstrip(".")


def number(value: float) -> str:
    """A reading's value as a plain decimal, so that reading it again gives the same float."""
    return _plain(repr(value)).removesuffix(".0")


def rounded(value: float) -> str:
    """A value for people: a plain decimal of at most ten significant digits."""
    return _plain(f"{value:.10g}")


def _plain(text: str) -> str:
    """Without an exponent, which a spreadsheet may take for text; zero has no sign."""
    return f"{Decimal(text):zf}"
