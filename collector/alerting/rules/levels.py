"""Levels: what a rule says of one colour: a number, a band, or a mapping of what is different."""

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from collector.alerting.rules.duration import Duration
from collector.alerting.rules.words import Source
from collector.fleet.codes import Limits
from collector.fleet.document import Positive, Text
from documents.strict import Strict

Title = Annotated[str, Field(min_length=1, max_length=30)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=366)]


class LevelSpec(Strict):
    """What is different at one colour; what is left out is the rule's.

    Attributes:
        limit: in the unit of what is watched.
        times: of the meter's own baseline; of `consumed` alone.
        band: [lowest, highest]; of `outside` alone.
        resolves: where it is clear again, instead of the rule's hysteresis.
    """

    limit: float | None = None
    times: Positive | None = None
    band: Limits | None = None
    resolves: float | None = None
    hold: Annotated[Duration | None, Field(alias="for")] = None
    keep: Duration | None = None
    in_a_row: Count | None = None
    title: Title | None = None
    advice: Text | None = None
    source: Source | None = None
    page: bool | None = None


def _form(value: object) -> str:
    if isinstance(value, dict | LevelSpec):
        return "mapping"
    return "pair" if isinstance(value, list | tuple) else "number"


# Told apart by its form, so that a mistake in one is not answered for all three.
Level = Annotated[
    Annotated[float, Tag("number")]
    | Annotated[Limits, Tag("pair")]
    | Annotated[LevelSpec, Tag("mapping")],
    Discriminator(_form),
]
