"""A centre whose database is away for a while, and a watch that looks on."""

from collections.abc import Sequence

from msgspec import structs

from collector.alerting.service import Watch
from collector.store import Rejection, Row, StoreAway, WriteOutcome
from collector.watching import CentreSigns, Office, make_watch
from link.mqtt import Delivery
from metering.reading import Reading
from tests.fakes.centre import Centre
from tests.fakes.link import batch, delivered
from tests.fakes.store import FakeReadingStore


class MoodyStore(FakeReadingStore):
    """Does not answer so many times, but while it is well."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.well = False

    def write(
        self,
        rows: Sequence[Row],
        rejections: Sequence[Rejection] = (),
        *,
        overlapping: bool = False,
    ) -> WriteOutcome:
        if not self.well and self.times:
            self.times -= 1
            raise StoreAway("数据库没有回答")
        return super().write(rows, rejections, overlapping=overlapping)


def spoken(centre: Centre, kilowatts: float) -> Delivery:
    """The next batch of a gateway: its main meter, read now."""
    at_ms = centre.clock.now_ms()
    reading = Reading(meter="e001-main", at_ms=at_ms, values={"active_power_kw": kilowatts})
    sealed = batch(reading, sequence=len(centre.link.acknowledged) + 1)
    return delivered(structs.replace(sealed, sealed_at_ms=at_ms))


def watch_of(centre: Centre) -> Watch:
    """As the app wires it."""
    signs = CentreSigns(
        link=centre.link,
        pipeline=centre.pipeline,
        patience=centre.patience,
        clock=centre.clock,
        failing=dict,
    )
    office = Office(
        fleet=centre.fleet,
        alert_log=centre.state.alert_log,
        clock=centre.clock,
        metrics=centre.metrics,
        patience=centre.patience,
    )
    return make_watch(centre.watching, office, signs, signs.is_deaf)
