"""Duration: "30s", "10m", "2h", "1d" -> milliseconds."""

import re
from typing import Annotated

from pydantic import BeforeValidator

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000}
_FORM = re.compile("([1-9][0-9]{0,5})([dhms])")
_LONGEST = 366 * _UNITS["d"]


def _parse(value: object) -> int:
    match = _FORM.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        came = f"'{value}'" if isinstance(value, str) else f"the number {value}"
        raise ValueError(f'a duration like "30s", "10m", "2h" or "1d" is needed, {came} came')
    duration_ms = int(match[1]) * _UNITS[match[2]]
    if duration_ms > _LONGEST:
        raise ValueError(f"a duration of at most 366d is needed, '{value}' came")
    return duration_ms


Duration = Annotated[int, BeforeValidator(_parse)]
