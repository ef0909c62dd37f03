"""Bench: a short run of `python -m benchmarks.truth`, as figures of `make bench`."""

from collections.abc import Iterator

from benchmarks.figure import Figure, Result
from benchmarks.scale import Scale
from benchmarks.truth.run import Mode, Report, Settings, run
from benchmarks.truth.tally import CLEAN_AIM, HARD_AIM, MONTH_AIM, SOFT_AIM


def measure(scale: Scale) -> Result:
    report = run(Settings(buildings=scale.truth_series, rates=(4.0,)))
    return Result(figures=tuple(figure for mode in report.modes for figure in _of(mode, report)))


def _of(mode: Mode, report: Report) -> Iterator[Figure]:
    section = f"truth, {'rating known' if mode.rated else 'rating unknown'}"
    for part, name, aim in zip(mode.overall, ("硬", "软"), (HARD_AIM, SOFT_AIM), strict=True):
        for word, chinese in (("precision", "查准"), ("recall", "查全")):
            yield Figure(
                section=section,
                what=f"{name}故障{chinese} {part['what']} faults, {word}",
                value=float(part[word]),
                unit="1",
                digits=4,
                aim=aim,
                at_least=True,
                note=f"{part['faults']} faults; {report.source}",
            )
    clean = [line for line in mode.lines if line.aim is None]
    readings = sum(line.readings for line in clean)
    yield Figure(
        section=section,
        what="无故障数据误判 false verdicts on clean readings",
        value=sum(line.false_readings * line.readings for line in clean) / readings * 100,
        unit="%",
        digits=4,
        aim=CLEAN_AIM * 100,
        note=f"{readings:,} readings",
    )
    yield Figure(
        section=section,
        what="月合计最大误差 worst month that readings tell",
        value=max(line.told_worst for line in mode.lines) * 100,
        unit="%",
        digits=3,
        aim=MONTH_AIM * 100,
        note=f"{sum(line.told for line in mode.lines)} months",
    )
