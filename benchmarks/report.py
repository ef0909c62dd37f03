"""Report: figures -> docs/benchmarks.md, the generated part between its two marks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.figure import Figure, Profile

_BEGIN = "<!-- begin: written by `make bench ARGS=--write` -->"
_END = "<!-- end -->"


def write_report(
    document: Path, figures: Sequence[Figure], profiles: Sequence[Profile], about: str
) -> None:
    """Replace what stands between the marks; the rest of the page is written by hand."""
    before, _, rest = document.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    lines = (*_table(figures), "", *_profiles(profiles))
    middle = "\n".join((f"Measured on {about}.", "", *lines))
    document.write_text(f"{before}{_BEGIN}\n{middle}\n{_END}{after}", encoding="utf-8")


def _table(figures: Sequence[Figure]) -> Iterator[str]:
    yield "| measurement | figure | value | unit | aim | met | note |"
    yield "|---|---|---:|---|---:|---|---|"
    section = ""
    for figure in figures:
        met = {True: "yes", False: "**no**", None: ""}[figure.is_met]
        shown = figure.section if figure.section != section else ""
        section = figure.section
        cells = (
            shown,
            figure.what,
            figure.text,
            figure.unit,
            figure.aim_text,
            met,
            figure.note,
        )
        yield f"| {' | '.join(cells)} |"


def _profiles(profiles: Sequence[Profile]) -> Iterator[str]:
    for profile in profiles:
        parts = ", ".join(f"{part} {share:.0%}" for part, share in profile.shares)
        yield f"* {profile.process}: {parts}"
