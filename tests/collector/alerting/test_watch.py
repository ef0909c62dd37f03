"""What no reading tells of: silence, signs, the clock; and who keeps the steps."""

from contextlib import closing
from threading import Event

import pytest
from msgspec import structs

from collector.adapters.sql import StateAway
from collector.alerting.alert import Transition
from collector.alerting.evaluate.heard import GatewayWord, Heard
from collector.alerting.evaluate.signs import spool_share
from collector.alerting.lifecycle import AlertUnknown
from collector.alerting.rule import Rule, Scope, Silent, System
from collector.alerting.service import Alerting, Watch
from collector.metrics import Metrics
from collector.patience import Patience
from collector.watching import Office, Watching, make_watch, make_watching
from metering.wire import EpochHeld, Range, SpoolState, decode_state
from tests.fakes.alerting import START_MS, FakeAlertLog, at, threshold
from tests.fakes.centre import example_fleet
from tests.fakes.clock import FakeClock
from tests.fakes.link import stated

FLEET = example_fleet()
SECOND = 1_000
MAIN = frozenset({"e001-main"})


def silence(rule: str = "quiet", of: str = "meter", **changed: object) -> Rule:
    """Three cycles of a minute."""
    condition = Silent(of=of, cycles=3, at_least_ms=90_000)
    return threshold(rule, **{"condition": condition, "scope": Scope(meters=MAIN)} | changed)


def sign(name: str, limit: float, **changed: object) -> Rule:
    return threshold(name.replace("_", "-"), condition=System(sign=name, limit=limit), **changed)


class FakeCentre:
    """The `Centre`, as a test wants it."""

    def __init__(self) -> None:
        self.store_s = self.broker_s = self.delivery_s = 0.0
        self.failing = 0

    def store_away_s(self) -> float:
        return self.store_s

    def broker_away_s(self) -> float:
        return self.broker_s

    def delivery_failing_s(self) -> float:
        return self.delivery_s

    def jobs_failing(self) -> int:
        return self.failing


class Post:
    """A watch on fakes; `restart` goes on from the log."""

    def __init__(self, *rules: Rule, speed: float = 1.0) -> None:
        self.rules = rules
        self.clock = FakeClock(START_MS, speed)
        self.log = FakeAlertLog()
        self.centre = FakeCentre()
        self.deaf = False
        self.newest = {"e001-main": START_MS - 5_000}
        self.restart()

    def restart(self) -> None:
        office = Office(
            fleet=FLEET,
            alert_log=self.log,
            clock=self.clock,
            metrics=Metrics(),
            patience=Patience(Event(), self.clock, jitter=lambda: 0.5),
        )
        self.watching: Watching = make_watching(self.rules, lambda *_: True, office, self.newest)
        self.alerting: Alerting = self.watching.alerting
        self.heard: Heard = self.watching.heard
        self.watch: Watch = make_watch(self.watching, office, self.centre, lambda: self.deaf)

    def pass_s(self, seconds: int) -> list[Transition]:
        """Time passes, the watch looks every second; the steps that were taken."""
        before = len(self.log.steps_after(0, 9_999))
        for _ in range(seconds):
            self.clock.pass_ms(SECOND)
            self.watch.look()
        return self.log.steps_after(0, 9_999)[before:]

    def hear(self, meter: str = "e001-main", at_ms: int | None = None) -> None:
        self.newest[meter] = self.clock.now_ms() if at_ms is None else at_ms
        self.heard.meters.hear(meter, self.newest[meter], self.clock.monotonic_ms())

    def speak(self, gateway: str = "gw-e001") -> None:
        self.heard.spoke(gateway, self.clock.now_ms(), self.clock.monotonic_ms())


def reasons(steps: list[Transition]) -> list[str]:
    return [str(one.reason) for one in steps]


# -- silence -------------------------------------------------------------------------------------


def test_a_meter_that_is_silent_for_three_cycles_is_told_with_its_last_readings_time() -> None:
    post = Post(silence())
    post.hear()
    heard_ms = post.clock.now_ms()

    assert post.pass_s(180) == []
    (step,) = post.pass_s(5)

    assert (step.reason, step.alert.subject.id) == ("held", "e001-main")
    assert (step.alert.since_ms, step.alert.value, step.alert.limit) == (heard_ms, 181.0, 180.0)
    assert step.alert.unit == "s"


def test_it_ends_with_the_first_newer_reading() -> None:
    post = Post(silence())
    post.pass_s(200)

    post.hear(at_ms=START_MS - 6_000)  # it was on its way before
    assert post.pass_s(5) == []
    post.hear()

    assert reasons(post.pass_s(5)) == ["cleared"]


def test_a_silence_is_told_once_however_long_it_lasts() -> None:
    post = Post(silence())
    post.pass_s(200)

    assert post.pass_s(3600) == []


def test_one_that_a_person_ended_is_told_again_while_it_lasts() -> None:
    post = Post(silence())
    post.pass_s(200)
    post.alerting.resolve(1, "李工", "")

    assert reasons(post.pass_s(3)) == ["held"]


def test_a_rules_duration_is_added_to_the_silence() -> None:
    post = Post(silence(for_ms=60_000))

    assert post.pass_s(240) == []
    assert reasons(post.pass_s(2)) == ["held"]


def test_a_centre_that_could_not_hear_says_nothing_of_the_time_in_which_it_could_not() -> None:
    post = Post(silence())
    post.hear()
    post.deaf = True
    assert post.pass_s(3600) == []

    post.deaf = False

    assert post.pass_s(180) == []
    assert reasons(post.pass_s(2)) == ["held"]


def test_after_a_standstill_of_the_centre_itself_nothing_is_silent_yet() -> None:
    """A machine that slept, or a small state that was away, while the watch waited its turn."""
    post = Post(silence())
    post.hear()
    post.pass_s(10)
    post.clock.pass_ms(3_600_000)

    assert post.pass_s(180) == []
    assert reasons(post.pass_s(3)) == ["held"]


def test_a_centre_that_is_deaf_for_a_while_resolves_no_silence() -> None:
    post = Post(silence())
    post.hear()
    post.pass_s(200)
    post.deaf = True
    post.pass_s(10)
    post.deaf = False

    assert post.pass_s(600) == []
    post.hear()
    assert reasons(post.pass_s(2)) == ["cleared"]


def test_a_restart_changes_nothing_of_a_silence() -> None:
    post = Post(silence())
    post.pass_s(200)
    post.restart()

    assert post.pass_s(600) == []
    post.hear()
    assert reasons(post.pass_s(2)) == ["cleared"]


def test_a_backlog_of_a_meter_is_a_sign_of_life_as_long_as_it_grows_newer() -> None:
    post = Post(silence())
    for second in range(400):
        post.hear(at_ms=START_MS - 4_000 + second)
        assert post.pass_s(1) == []


def test_the_machines_clock_may_jump_without_a_silence() -> None:
    post = Post(silence())
    post.hear()
    post.clock._now_ms += 7_200_000

    assert post.pass_s(100) == []
    post.clock._now_ms -= 2 * 7_200_000
    assert post.pass_s(75) == []
    assert reasons(post.pass_s(10)) == ["held"]


def test_in_a_replay_that_is_faster_a_silence_is_shorter_in_real_time() -> None:
    post = Post(silence(), speed=60.0)
    post.hear()

    assert post.pass_s(180) == []
    assert reasons(post.pass_s(2)) == ["held"]


def test_a_meter_whose_time_is_over_is_not_missed() -> None:
    post = Post(silence())
    (entry,) = FLEET.meters["e001-main"]
    ended = (structs.replace(entry, valid_to_ms=START_MS + 60_000),)
    fleet = structs.replace(FLEET, meters=FLEET.meters | {"e001-main": ended})
    office = Office(
        fleet=fleet,
        alert_log=post.log,
        clock=post.clock,
        metrics=Metrics(),
        patience=Patience(Event(), post.clock, jitter=lambda: 0.5),
    )
    watching = make_watching((silence(),), lambda *_: True, office, {})
    post.watch = make_watch(watching, office, post.centre, lambda: False)

    assert post.pass_s(600) == []


def test_a_gateway_of_which_nothing_is_heard_is_silent() -> None:
    post = Post(silence(of="gateway", scope=Scope(gateways=frozenset({"gw-e001"}))))
    post.speak()

    assert post.pass_s(180) == []
    (step,) = post.pass_s(2)

    assert (step.alert.subject.kind, step.alert.subject.id) == ("gateway", "gw-e001")
    assert step.alert.place.institution == "e001"
    post.speak()
    assert reasons(post.pass_s(2)) == ["cleared"]


# -- signs ---------------------------------------------------------------------------------------


def test_a_database_that_is_away_is_told_after_its_limit_and_when_it_is_back() -> None:
    post = Post(sign("store_away_s", 60))
    post.centre.store_s = 60.0
    assert post.pass_s(2) == []

    post.centre.store_s = 61.0
    (step,) = post.pass_s(40)
    post.centre.store_s = 1.0  # back for a moment, and away again
    assert post.pass_s(40) == []
    post.centre.store_s = 0.0

    assert (step.alert.subject.kind, step.alert.subject.id) == ("system", "store")
    assert (step.alert.value, step.alert.unit) == (61.0, "s")
    assert reasons(post.pass_s(1)) == ["cleared"]


def test_a_sign_with_a_duration_is_looked_at_often_enough_for_it() -> None:
    post = Post(sign("jobs_failing", 0, for_ms=60_000))
    post.centre.failing = 2

    assert reasons(post.pass_s(2)) == ["began"]
    assert reasons(post.pass_s(100)) == ["held"]


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("broker_away_s", "broker_s"), ("delivery_failing_s", "delivery_s")],
)
def test_the_centres_signs_are_asked_for(name: str, attribute: str) -> None:
    post = Post(sign(name, 10))
    setattr(post.centre, attribute, 11.0)

    assert reasons(post.pass_s(1)) == ["held"]


def test_nothing_from_anybody_is_a_sign_of_its_own() -> None:
    post = Post(sign("dead_man_s", 300))
    post.speak()
    post.deaf = True

    assert post.pass_s(300) == []
    assert reasons(post.pass_s(2)) == ["held"]
    post.speak()
    assert reasons(post.pass_s(1)) == ["cleared"]


def test_a_gateway_is_offline_after_so_many_of_its_cycles() -> None:
    post = Post(sign("gateway_offline", 3, scope=Scope(gateways=frozenset({"gw-e001"}))))
    post.speak()

    assert post.pass_s(180) == []
    (step,) = post.pass_s(2)

    assert (step.alert.subject.id, step.alert.unit) == ("gw-e001", "周期")


@pytest.mark.parametrize("name", ["gateway_offline", "dead_man_s"])
def test_a_restart_and_deafness_resolve_no_sign_of_what_was_not_heard(name: str) -> None:
    post = Post(sign(name, 3, scope=Scope(gateways=frozenset({"gw-e001"}))))
    post.speak()
    assert reasons(post.pass_s(200)) == ["held"]
    post.deaf = True
    assert post.pass_s(10) == []
    post.deaf = False
    assert post.pass_s(10) == []
    post.restart()
    assert post.pass_s(400) == []

    post.speak()
    assert reasons(post.pass_s(1)) == ["cleared"]


def test_while_the_centre_is_deaf_no_gateway_is_offline() -> None:
    post = Post(sign("gateway_offline", 3))
    post.deaf = True

    assert post.pass_s(1000) == []


def word(offset_ms: int | None = None, **spool: int) -> GatewayWord:
    state = decode_state(
        stated(EpochHeld(epoch="01JD0000000000000000000000", oldest=1, next=1)).payload
    )
    held = EpochHeld(
        epoch="01JD0000000000000000000000",
        oldest=101,
        next=301,
        dropped=(Range(111, 120),),
        released=(Range(121, 210),),
    )
    full = SpoolState(**({"size": 800, "limit": 1000, "backlog": 50, "unsealed": 0} | spool))
    return GatewayWord(
        state=structs.replace(state, spool=full, epochs=(held,)), offset_ms=offset_ms
    )


def test_a_clock_is_off_in_either_direction() -> None:
    post = Post(sign("clock_offset_s", 60))
    post.heard.words["gw-e001"] = word(offset_ms=None)
    assert post.pass_s(2) == []

    post.heard.words["gw-e001"] = word(offset_ms=-61_000)

    (step,) = post.pass_s(2)
    assert (step.alert.subject.id, step.alert.value) == ("gw-e001", 61.0)


def test_a_spool_is_as_full_as_what_waits_in_it() -> None:
    """Of a hundred batches that it holds half wait for a commit."""
    assert spool_share(word()) == pytest.approx(0.4)
    assert spool_share(word(backlog=100)) == pytest.approx(0.8)
    assert spool_share(word(backlog=0)) == 0.0
    assert spool_share(word(limit=0)) is None


# -- people, and what keeps it -------------------------------------------------------------------


@pytest.fixture
def post() -> Post:
    made = Post(silence())
    made.pass_s(200)
    return made


def test_what_a_person_does_is_kept_and_whoever_speaks_of_it_is_woken(post: Post) -> None:
    post.alerting.moved.clear()

    (step,) = post.alerting.acknowledge(1, "王工", "已派人", None)

    assert (step.number, step.alert.state) == (2, "acknowledged")
    assert post.log.alert(1) == step.alert
    assert post.alerting.moved.is_set()


def test_what_cannot_be_kept_did_not_happen(post: Post) -> None:
    post.log.away = StateAway("数据库没有回答")
    for act in (
        lambda: post.alerting.acknowledge(1, "王工", "", None),
        lambda: post.alerting.resolve(1, "王工", ""),
    ):
        with pytest.raises(StateAway):
            act()
    post.log.away = None

    assert [alert.state for alert in post.alerting.firing] == ["firing"]
    post.hear()
    assert reasons(post.pass_s(1)) == ["cleared"]


def test_nobody_acknowledges_what_is_not_there(post: Post) -> None:
    with pytest.raises(AlertUnknown):
        post.alerting.acknowledge(9, "王工", "", None)


def test_an_acknowledgement_ends_by_the_watch(post: Post) -> None:
    post.alerting.acknowledge(1, "王工", "", post.clock.now_ms() + 30_000)

    assert reasons(post.pass_s(29)) == []
    assert reasons(post.pass_s(1)) == ["ack_expired"]


def test_an_alert_of_a_rule_that_is_gone_ends_with_the_first_look(post: Post) -> None:
    post.rules = ()
    post.restart()

    assert reasons(post.pass_s(1)) == ["rule_gone"]


def test_where_nothing_happened_nothing_is_kept() -> None:
    with closing(_Counting()) as log:
        quiet = Post(silence(), sign("store_away_s", 60))
        quiet.log = log
        quiet.restart()
        quiet.pass_s(100)

        assert log.kept == 0


class _Counting(FakeAlertLog):
    def __init__(self) -> None:
        super().__init__()
        self.kept = 0

    def keep(self, steps, standing=()):
        self.kept += 1
        return super().keep(steps, standing)

    def close(self) -> None:
        """Nothing to let go of."""


def test_minutes_of_these_tests_are_shanghais_morning() -> None:
    assert at(0) == START_MS
