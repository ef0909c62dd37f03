"""Need: one alert that one receiver is to be told of."""

from msgspec import Struct

from collector.alerting.alert import Alert
from collector.alerting.notify.content import Cause
from collector.alerting.notify.settings import Route


class Need(Struct, frozen=True, kw_only=True):
    """What is to be told, and how.

    Attributes:
        chain: with what it is grouped, and in order.
        route: whose pace holds.
        due_ms: by the clock, when it asks for a notice; it joins one that goes out before.
        escalated: the receiver is not of the first to be told.
        limit: of `Cause.OVERDUE`, which, and to whom.
    """

    alert: Alert
    receiver: str
    chain: str
    route: Route
    cause: Cause
    due_ms: int
    escalated: bool = False
    limit: str = ""
