"""What holds of every script: in the end a person believes what is so."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.alerting.alert import AlertState
from tests.fakes.scene import Scene

METERS = ("m1", "m2", "m3")
COLOURS = ("blue", "yellow", "orange", "red")
PAUSES = ("0s", "10s", "45s", "3m", "20m", "2h", "9h", "1d")

acts = st.one_of(
    st.tuples(st.just("fires"), st.sampled_from(METERS), st.sampled_from(COLOURS)),
    st.tuples(st.just("resolves"), st.sampled_from(METERS), st.just("")),
    st.tuples(st.just("acknowledges"), st.sampled_from(METERS), st.just("")),
    st.tuples(st.just("ack_expires"), st.sampled_from(METERS), st.just("")),
    st.tuples(st.just("gets"), st.sampled_from(METERS), st.sampled_from(COLOURS)),
    st.tuples(st.just("silences"), st.sampled_from(METERS), st.sampled_from(("20m", "5h"))),
    st.tuples(st.just("away"), st.just(""), st.sampled_from(("", "duty"))),
)
scripts = st.lists(st.tuples(acts, st.sampled_from(PAUSES), st.booleans()), max_size=25)


class Player:
    """Plays a script; what makes no sense where it stands is left out."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.open: dict[str, object] = {}
        self.flaps: Counter[str] = Counter()

    def play(self, act: str, meter: str, value: str, *, plan: bool) -> None:
        alert = self.open.get(meter)
        known = alert is not None
        match act:
            case "fires" if not known:
                self.open[meter] = self.scene.fires(
                    "leak", meter, value, flaps=self.flaps[meter], plan=plan
                )
                self.flaps[meter] += 1
            case "resolves" if known:
                self.scene.resolves(alert, plan=plan)
                del self.open[meter]
            case "acknowledges" if known and alert.state is AlertState.FIRING:
                self.open[meter] = self.scene.acknowledges(alert)
            case "ack_expires" if known and alert.state is AlertState.ACKNOWLEDGED:
                self.open[meter] = self.scene.ack_expires(alert)
            case "gets" if known:
                self.open[meter] = self.scene.gets(alert, value)
            case "silences":
                self.scene.silences(value, meter=meter)
            case "away":
                self.scene.away = {value} - {""}


def believed(scene: Scene, receiver: str) -> dict[str, list[str]]:
    """By meter, the causes that a receiver was told of, in order."""
    told: dict[str, list[str]] = {}
    for notice in scene.notices:
        if notice.receiver == receiver:
            for line in notice.text.splitlines():
                cause, _, meter = line.split()
                told.setdefault(meter, []).append(cause)
    return told


@settings(max_examples=150, deadline=None)
@given(scripts)
def test_in_the_end_everybody_believes_what_is_so(script) -> None:
    player = Player()
    for (act, meter, value), pause, plan in script:
        player.play(act, meter, value, plan=plan)
        player.scene.passes(pause)
    player.scene.away = set()
    player.scene.passes("3d")

    for receiver in ("duty", "head", "bureau", "health"):
        told = believed(player.scene, receiver)
        for meter in METERS:
            causes = told.get(meter, [])
            assert_makes_sense(causes)
            still = bool(causes) and causes[-1] != "resolved"
            alert = player.open.get(meter)
            if alert is None:
                assert not still, f"{receiver} believes that {meter} still fires"
            elif receiver == "duty" and alert.state is AlertState.FIRING:
                assert still, f"nobody told {receiver} that {meter} fires"


def assert_makes_sense(causes: list[str]) -> None:
    """What is told of first is new, what ends has begun."""
    for before, cause in zip([None, *causes], causes, strict=False):
        begins = cause in ("new", "escalation")
        known = before not in (None, "resolved")
        assert known or begins, f"{cause} of what nobody told"


@settings(max_examples=60, deadline=None)
@given(scripts)
def test_a_receiver_is_told_in_order_and_everything_is_delivered_once(script) -> None:
    player = Player()
    for (act, meter, value), pause, plan in script:
        player.play(act, meter, value, plan=plan)
        player.scene.passes(pause)
    player.scene.away = set()
    player.scene.passes("1d")

    scene = player.scene
    assert scene.outbox.waiting() == 0
    assert len(scene.delivered) == len(scene.notices)
    numbers: dict[str, list[int]] = {}
    for notice, attempt in reversed(scene.outbox.attempts(limit=10_000)):
        if attempt.sent:
            numbers.setdefault(notice.chain, []).append(notice.number)
    assert all(its == sorted(its) for its in numbers.values())
