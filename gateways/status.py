"""Status: a gateway's state -> the document for the person before the box."""

import msgspec

from metering.wire import State


def status_document(state: State, *, is_up: bool, uptime_s: float, pid: int) -> bytes:
    """The state as it is published, and what only the process knows, as JSON."""
    about = {"link": "up" if is_up else "down", "uptime_s": round(uptime_s, 1), "pid": pid}
    return msgspec.json.encode({**msgspec.to_builtins(state), **about})
