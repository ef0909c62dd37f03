"""`python -m benchmarks.truth`: measured series, injected faults, and how right both gates are."""

import argparse
import sys
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks.truth.meter import STEPS
from benchmarks.truth.run import FAULTS, TRAPS, Settings, run
from benchmarks.truth.show import show, write

_WIDTH = 170  # of a table that goes into a file


def main() -> int:
    options = _options()
    errors = Console(stderr=True)
    report = run(_settings(options), lambda name: _tell(errors, name, quiet=options.quiet))
    if options.json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    else:
        show(report, Console(width=None if sys.stdout.isatty() else _WIDTH))
    for text in report.explained:
        print(f"\n{text}", file=sys.stderr if options.json else sys.stdout)
    if options.write:
        write(report)
    return int(options.check and not report.met)


def _tell(console: Console, name: str, *, quiet: bool) -> None:
    if console.is_terminal and not quiet:
        console.print(f"\r{name[:100]:<100}", end="", highlight=False, markup=False)


def _settings(options: argparse.Namespace) -> Settings:
    whats = TRAPS if options.clean else tuple(options.fault or (*FAULTS, *TRAPS))
    return Settings(
        data=options.data,
        simulate=options.simulate,
        buildings=options.buildings,
        days=options.days,
        seed=options.seed,
        steps=tuple(options.step.split(",")),
        rates=tuple(float(rate) for rate in options.rates.split(",")),
        whats=whats,
        rated={"both": (True, False), "known": (True,), "unknown": (False,)}[options.rated],
        only=options.only,
        explain=options.explain,
    )


def _options() -> argparse.Namespace:
    default = Settings()
    parser = argparse.ArgumentParser(prog="benchmarks.truth", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, help="a folder of wide CSV files (docs/truth.md)")
    add("--simulate", action="store_true", help="load curves of the simulator instead")
    add("--buildings", type=int, default=default.buildings, help="series; 0: all")
    add("--days", type=int, default=default.days, help="of each series")
    add("--seed", type=int, default=default.seed, help="another one: other stretches and faults")
    add("--step", default=",".join(default.steps), help=f"between readings: {', '.join(STEPS)}")
    add("--rates", default="1,4,12", help="faults a month, before each kind's own factor")
    add("--rated", choices=("both", "known", "unknown"), default="both", help="by the fleet")
    add("--fault", action="append", choices=(*FAULTS, *TRAPS), help="this one; may be repeated")
    add("--clean", action="store_true", help="clean series and traps alone")
    add("--only", default="", help="cases whose name holds this text")
    add("--explain", type=int, default=0, metavar="N", help="the first N things that went wrong")
    add("--json", action="store_true", help="one document on standard output")
    add("--write", action="store_true", help="bring docs/truth.md up to date")
    add("--check", action="store_true", help="exit 1 if an aim is missed")
    add("--quiet", action="store_true", help="no progress")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
