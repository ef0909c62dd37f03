"""Scale: how long each measurement takes."""

from msgspec import Struct


class Scale(Struct, frozen=True, kw_only=True):
    """Sizes and seconds of one run.

    Attributes:
        store_values: into each bare store.
        gate_values: through gate 1 alone.
        rounds: minutes of readings that each of the collector's twenty gateways sends.
        live_s: how long gateways are watched at one-second polls.
        worst_s: the same for meters that need seven requests.
        idle_s: the same for a gateway between two polls.
        profile_s: how long py-spy looks.
        backlog: batches in the spool before the drain.
        wire_cycles: of a slow serial line.
        dead_s: how long the others are watched beside dead meters, three times.
        many: numbers of meters on a box, once a second.
        many_s: how long each of them is watched.
        week_s: real seconds in which a simulated week passes.
        flash_steps: of the spool, on a disk whose writes are counted.
        alert_minutes: of readings of each district through twenty rules.
        settle_meters: of a month of one-minute readings that is settled.
        settle_growth: numbers of meters, a week of quarters each, of which the cost is compared.
        truth_series: measured series into which faults are injected.
    """

    store_values: int
    gate_values: int
    rounds_duckdb: int
    rounds_influx: int
    live_s: float
    worst_s: float
    idle_s: float
    profile_s: float
    backlog: int
    wire_cycles: int
    dead_s: float
    many: tuple[int, ...]
    many_s: float
    week_s: float
    flash_steps: int
    alert_minutes: int
    settle_meters: int
    settle_growth: tuple[int, ...]
    truth_series: int


FULL = Scale(
    store_values=2_000_000,
    gate_values=2_000_000,
    rounds_duckdb=200,
    rounds_influx=75,
    live_s=32,
    worst_s=12,
    idle_s=10,
    profile_s=6,
    backlog=1440,
    wire_cycles=12,
    dead_s=60,
    many=(10, 100, 500),
    many_s=15,
    week_s=120,
    flash_steps=1_000,
    alert_minutes=20,
    settle_meters=1_000,
    settle_growth=(100, 1_000, 10_000),
    truth_series=6,
)
QUICK = Scale(
    store_values=200_000,
    gate_values=400_000,
    rounds_duckdb=20,
    rounds_influx=10,
    live_s=4,
    worst_s=0,
    idle_s=0,
    profile_s=0,
    backlog=40,
    wire_cycles=3,
    dead_s=20,
    many=(10,),
    many_s=4,
    week_s=0,
    flash_steps=100,
    alert_minutes=2,
    settle_meters=50,
    settle_growth=(20, 100),
    truth_series=2,
)
