"""`nenghao meter replace`: another register stands in a meter's place; part of `nenghao meter`."""

from typing import Annotated

import typer

from collector.editing.period import instant_ms
from nenghao.asking import Api, Author, Json, Reason, Settings, usage
from nenghao.commands.correct import AsShown, At, DryRun, Force, How, Quantity, Settle, Unit, enter


def replace(  # noqa: PLR0913 - each is an option of the command line
    meter: str,
    *,
    at: At,
    closing: Annotated[float, typer.Option("--closing", help="旧表止码")],
    opening: Annotated[float, typer.Option("--opening", help="新表起码")],
    author: Author,
    reason: Reason,
    quantity: Quantity = None,
    unit: Unit = None,
    as_shown: AsShown = False,
    force: Force = False,
    dry_run: DryRun = False,
    settle: Settle = True,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """METER was replaced: the old register ended at CLOSING, the new one began at OPENING."""
    proposal = {
        "kind": "replacement",
        "meter": meter,
        "start_ms": usage(instant_ms, at, assume_shanghai=True),
        "closing": closing,
        "value": opening,
        "quantity": quantity,
        "unit": unit,
        "as_shown": as_shown,
        "force": force,
    }
    how = How(where=(settings, api), dry_run=dry_run, settle=settle, json=json)
    enter(proposal, (author, reason), how)
