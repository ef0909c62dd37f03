"""Many things at once, again and again, or long ago: few messages, and none lost."""

from datetime import date, timedelta

from collector.alerting.subject import SubjectKind
from collector.settle.day_class import Calendar, DayClass
from tests.fakes.scene import Scene, at, ms


def told(scene: Scene) -> list[str]:
    """What was said of alerts, the digests of the mornings left out."""
    return [line for line in scene.said() if " digest: " not in line]


def offline(scene: Scene, gateway: str = "gw1", **more):
    return scene.fires(
        "gateway-offline", gateway, "orange", kind=SubjectKind.GATEWAY, gateway=gateway, **more
    )


# ---- inhibition


def test_a_gateway_that_is_offline_hides_the_silence_of_its_meters() -> None:
    scene = Scene()

    offline(scene)
    for number in range(5):
        scene.fires("meter-silent", f"m{number}", "yellow")
    scene.fires("meter-silent", "other", "yellow", gateway="gw2")
    scene.passes("10m")

    assert told(scene) == [
        "03-02 09:00:30 duty alerts: new orange gateway-offline gw1",
        "03-02 09:02 duty alerts: new yellow meter-silent other",
    ]


def test_it_hides_them_too_when_they_came_first() -> None:
    scene = Scene()

    for number in range(5):
        scene.fires("meter-silent", f"m{number}", "yellow")
    scene.passes("1m")
    offline(scene)
    scene.passes("10m")

    assert told(scene) == ["03-02 09:01:30 duty alerts: new orange gateway-offline gw1"]


def test_meters_that_were_told_before_neither_repeat_nor_are_lost_when_they_resolve() -> None:
    scene = Scene()
    meter = scene.fires("meter-silent", "m1", "yellow")
    scene.passes("5m")
    gateway = offline(scene)
    scene.passes("3d")
    told(scene)

    scene.resolves(meter)
    scene.resolves(gateway)
    scene.passes("10m")

    assert told(scene) == [
        "03-05 09:05:30 duty alerts: resolved orange gateway-offline gw1",
        "03-05 09:05:30 head alerts: resolved orange gateway-offline gw1",
        "03-05 09:05:30 bureau alerts: resolved orange gateway-offline gw1",
        "03-05 09:05:30 health alerts: resolved orange gateway-offline gw1",
        "03-05 09:07 duty alerts: resolved yellow meter-silent m1",
    ]


def test_meters_that_stay_silent_when_the_gateway_is_back_are_told_after_a_while() -> None:
    scene = Scene()
    gateway = offline(scene)
    back = scene.fires("meter-silent", "m1", "yellow")
    scene.fires("meter-silent", "m2", "yellow")
    scene.passes("1h")
    told(scene)

    scene.resolves(gateway)
    scene.passes("2m")
    scene.resolves(back)
    scene.passes("20m")

    assert [line for line in told(scene) if "duty" in line] == [
        "03-02 10:00:30 duty alerts: resolved orange gateway-offline gw1",
        "03-02 10:10 duty alerts: new yellow meter-silent m2",
    ]


def test_a_dead_main_hides_what_hangs_below_it_at_any_depth() -> None:
    scene = Scene()

    scene.fires("no-voltage", "main", "red")
    scene.fires("no-voltage", "sub", "red", upstream=("main",))
    scene.fires("load", "subsub", "red", upstream=("sub2", "main"))
    scene.fires("load", "elsewhere", "red", upstream=("main2",))

    assert told(scene) == [
        "03-02 09:00 duty alerts: new red no-voltage main",
        "03-02 09:00 duty alerts: new red load elsewhere",
    ]


def test_a_higher_colour_hides_the_lower_and_what_is_left_is_told_with_its_end() -> None:
    scene = Scene()
    scene.fires("share", "e001", "yellow", rule="budget-90")
    scene.passes("1h")
    orange = scene.fires("share", "e001", "orange", rule="budget-100")
    scene.passes("10m")
    assert told(scene) == [
        "03-02 09:02 duty alerts: new yellow share e001",
        "03-02 10:00:30 duty alerts: new orange share e001",
    ]

    scene.resolves(orange)
    scene.passes("10m")

    assert told(scene) == [
        "03-02 10:10:30 duty alerts: uncovered yellow share e001; resolved orange share e001"
    ]


def test_a_lower_colour_that_comes_after_the_higher_says_nothing() -> None:
    scene = Scene()

    scene.fires("share", "e001", "orange", rule="budget-100")
    scene.fires("share", "e001", "yellow", rule="budget-90")
    scene.passes("30m")

    assert told(scene) == ["03-02 09:00:30 duty alerts: new orange share e001"]


# ---- mass outages


def test_five_hundred_meters_silent_at_once_are_one_digest() -> None:
    scene = Scene()

    for number in range(500):
        scene.fires(
            "meter-silent",
            f"m{number}",
            "red",
            plan=False,
            gateway=f"gw{number}",
            building=f"b{number}",
        )
    scene.passes("10m")

    assert told(scene) == ["03-02 09:01 duty mass: 500 × new meter-silent"]


def test_a_mass_outage_that_comes_in_drops_is_a_few_messages_and_a_digest() -> None:
    scene = Scene()

    for number in range(100):
        scene.fires(
            "meter-silent", f"m{number}", "red", gateway=f"gw{number}", building=f"b{number}"
        )
        scene.passes("1s")
    scene.passes("5m")

    assert told(scene) == [
        "03-02 09:00 duty alerts: new red meter-silent m0",
        "03-02 09:00:01 duty alerts: new red meter-silent m1",
        "03-02 09:00:02 duty alerts: new red meter-silent m2",
        "03-02 09:00:03 duty alerts: new red meter-silent m3",
        "03-02 09:00:04 duty alerts: new red meter-silent m4",
        "03-02 09:01:05 duty mass: 60 × new meter-silent",
    ]


def test_who_joins_or_leaves_a_mass_outage_is_told_with_its_next_digest() -> None:
    scene = Scene()
    meters = [
        scene.fires("meter-silent", f"m{n}", "orange", plan=False, building=f"b{n}")
        for n in range(50)
    ]
    scene.passes("5m")
    told(scene)

    for meter in meters[:40]:
        scene.resolves(meter, plan=False)
    late = [
        scene.fires("meter-silent", f"late{n}", "orange", plan=False, building=f"late{n}")
        for n in range(3)
    ]
    scene.passes("40m")
    assert told(scene) == [
        "03-02 09:31 duty mass: 3 × new meter-silent; 40 × resolved meter-silent; 10 still"
    ]

    for meter in [*meters[40:], *late]:
        scene.resolves(meter, plan=False)
    scene.passes("40m")

    assert [line for line in told(scene) if "duty" in line] == [
        "03-02 10:01 duty mass: 13 × resolved meter-silent"
    ]


def test_a_mass_outage_lasts_while_more_comes_and_then_what_is_new_is_told_alone() -> None:
    scene = Scene()
    for number in range(6):
        scene.fires("meter-silent", f"m{number}", "red", plan=False, building=f"b{number}")
    scene.passes("1m")
    for number in range(4):
        scene.passes("8m")
        scene.fires("meter-silent", f"late{number}", "red", building=f"late{number}")
    scene.passes("11m")
    scene.fires("meter-silent", "alone", "red", building="alone")
    scene.passes("20m")

    three = "; ".join(f"new red meter-silent late{n}" for n in range(3))
    assert [line for line in told(scene) if "new" in line] == [
        "03-02 09:01 duty mass: 6 × new meter-silent",
        f"03-02 09:31 duty mass: {three}; 6 still",
        "03-02 09:44 duty alerts: new red meter-silent alone",
        "03-02 10:01 duty mass: new red meter-silent late3; 9 still",
    ]


def test_different_rules_are_no_mass_outage_unless_they_are_told_to_count_as_one() -> None:
    scene = Scene()

    for number in range(5):
        scene.fires(f"rule-{number}", "m1", "red", plan=False)
    for number in range(3):
        scene.fires("meter-silent", f"m{number}", "red", plan=False, gateway=f"x{number}")
        offline(scene, f"gw{number}", plan=False)
    scene.passes("2m")

    said = told(scene)
    assert len([line for line in said if "rule-" in line]) == 5
    assert [line for line in said if "mass" in line] == [
        "03-02 09:01 duty mass: 3 × new meter-silent; 3 × new gateway-offline"
    ]


def test_a_mass_outage_goes_up_the_chain_as_one() -> None:
    scene = Scene()
    for number in range(30):
        scene.fires("meter-silent", f"m{number}", "red", plan=False, building=f"b{number}")
    scene.passes("20m")

    assert told(scene) == [
        "03-02 09:01 duty mass: 30 × new meter-silent",
        "03-02 09:16 head escalation: 30 × escalation meter-silent",
    ]


# ---- flapping


def test_a_flapping_alert_is_told_a_few_times_and_then_once_more_when_it_is_over() -> None:
    scene = Scene()

    for flaps in range(20):
        alert = scene.fires("voltage", "m1", "red", flaps=flaps)
        scene.passes("90s")
        scene.resolves(alert)
        scene.passes("90s")
    scene.passes("1h")

    assert told(scene) == [
        "03-02 09:00 duty alerts: new red voltage m1",
        "03-02 09:01:30 duty alerts: resolved red voltage m1",
        "03-02 09:03 duty alerts: new red voltage m1",
        "03-02 09:04:30 duty alerts: resolved red voltage m1",
        "03-02 09:06 duty alerts: new red voltage m1",
        "03-02 09:07:30 duty alerts: resolved red voltage m1",
        "03-02 09:09 duty alerts: new red voltage m1",
        "03-02 09:24 head escalation: escalation red voltage m1",
        "03-02 09:39 bureau escalation: escalation red voltage m1",
        "03-02 09:39 health escalation: escalation red voltage m1",
        "03-02 10:28:30 duty alerts: resolved red voltage m1",
        "03-02 10:28:30 head alerts: resolved red voltage m1",
        "03-02 10:28:30 bureau alerts: resolved red voltage m1",
        "03-02 10:28:30 health alerts: resolved red voltage m1",
    ]


def test_an_alert_that_fires_again_before_its_end_was_told_says_nothing_new() -> None:
    scene = Scene()
    first = scene.fires("voltage", "m1", "orange")
    scene.passes("10m")
    told(scene)

    scene.resolves(first)
    scene.passes("20s")
    scene.fires("voltage", "m1", "orange")
    scene.passes("10m")

    assert told(scene) == []


def test_the_end_of_a_flapping_alert_does_not_slip_into_another_notice() -> None:
    scene = Scene()
    flapping = scene.fires("voltage", "m1", "red", flaps=5)
    scene.passes("5m")
    scene.resolves(flapping)
    told(scene)

    scene.fires("voltage", "m2", "red")
    scene.passes("1m")

    assert told(scene) == ["03-02 09:05 duty alerts: new red voltage m2"]


def test_who_acknowledged_the_one_before_is_told_of_the_next_in_the_end() -> None:
    scene = Scene()
    first = scene.fires("voltage", "m1", "red", flaps=4)
    scene.acknowledges(first)
    scene.passes("10m")
    scene.resolves(first)
    scene.passes("5m")
    told(scene)

    scene.fires("voltage", "m1", "red", flaps=5)
    scene.passes("20m")

    assert told(scene) == ["03-02 09:30 head escalation: escalation red voltage m1"]


# ---- replay


def test_thirty_days_of_replay_are_one_digest_and_live_alerts_go_out_in_time() -> None:
    scene = Scene()

    for number in range(60):
        old = scene.fires("night-flow", f"m{number % 7}", "orange", replayed=True, plan=False)
        scene.resolves(old)
        scene.passes("30s")
        if number == 30:
            scene.fires("leak", "m1", "red")
    scene.passes("1h")

    assert [line for line in told(scene) if "duty" in line] == [
        "03-02 09:15:30 duty alerts: new red leak m1",
        "03-02 09:39:30 duty replay (gw1): 20 × new night-flow; 40 more",
        "03-02 10:15:30 duty repeat: repeat red leak m1",
    ]


def test_a_gateways_replays_are_told_once_a_day_at_most() -> None:
    scene = Scene()

    for _ in range(3):
        scene.fires("night-flow", "m1", "orange", replayed=True)
        scene.passes("2h")
    scene.fires("night-flow", "m9", "orange", replayed=True, gateway="gw9")
    scene.passes("2d")

    assert told(scene) == [
        "03-02 09:10 duty replay (gw1): new orange night-flow m1",
        "03-02 15:10 duty replay (gw9): new orange night-flow m9",
        "03-03 07:00 duty replay (gw1): new orange night-flow m1; new orange night-flow m1",
    ]


def test_what_never_fired_in_a_replay_is_not_told() -> None:
    scene = Scene()

    scene.fires("night-flow", "m1", "orange", replayed=True, fired_ms=None)
    scene.passes("2d")

    assert told(scene) == []


# ---- mail is away


def test_a_mail_server_that_is_away_for_a_day_delays_and_repeats_nothing() -> None:
    scene = Scene()
    scene.away = {"duty"}
    leak = scene.fires("leak", "m1", "red")
    scene.acknowledges(leak)
    scene.ack_expires(leak)
    scene.passes("5h")
    scene.until("2026-03-03 08:40")

    scene.away = set()
    scene.passes("12m")
    scene.resolves(leak)
    scene.passes("2m")

    mine = [line for line in scene.delivered if line.split()[2] == "duty"]
    assert mine == [
        "03-03 08:52 duty alerts: new red leak m1",
        "03-03 08:52 duty alerts: ack_expired red leak m1",
        "03-03 08:52 duty alerts: resolved red leak m1",
    ]
    said = [line for line in scene.said() if "admin" in line or "escalation" in line]
    assert said == [
        "03-02 09:15 admin undelivered: duty 2 waiting, 0 failed: 550",
        "03-02 09:16 head escalation: escalation red leak m1",
        "03-02 09:31 bureau escalation: escalation red leak m1",
        "03-02 09:31 health escalation: escalation red leak m1",
    ]


def test_who_cannot_be_reached_is_told_of_by_another_and_again_after_a_day() -> None:
    scene = Scene()
    scene.away = {"duty", "admin"}

    scene.fires("leak", "m1", "red")
    scene.passes("26h")

    said = [line for line in scene.said() if "undelivered" in line]
    waits = "1 waiting, 0 failed: 550"
    assert said == [
        "03-02 09:15 admin undelivered: duty 1 waiting, 0 failed: 550",
        f"03-02 09:30 bureau undelivered: admin {waits}; duty {waits}",
        f"03-03 09:30 bureau undelivered: admin {waits}; duty {waits}",
    ]


def test_a_notice_that_was_given_up_is_told_at_once() -> None:
    scene = Scene()
    scene.away = {"duty"}
    scene.fires("leak", "m1", "red")
    scene.passes("1m")
    told(scene)

    scene.gives_up(1)

    assert told(scene) == ["03-02 09:01 admin undelivered: duty 0 waiting, 1 failed: 550"]


# ---- digests


def test_the_bureau_is_told_each_workday_and_each_week() -> None:
    scene = Scene("2026-03-05 09:00")  # a Thursday

    old = scene.fires("leak", "m1", "yellow")
    scene.passes("1h")
    scene.resolves(old)
    scene.fires("voltage", "m2", "yellow")
    scene.until("2026-03-07 12:00")
    scene.fires("load", "m3", "yellow", replayed=True)
    scene.until("2026-03-10 09:00")

    assert [line for line in scene.said() if " digest: " in line] == [
        "03-06 08:30 bureau digest: 1d 2 new, 1 solved, 1 open, longest m2",
        "03-09 08:30 bureau digest: 1d 0 new, 0 solved, 1 open, longest m2, 1 replayed",
        "03-09 08:35 bureau digest: 7d 2 new, 1 solved, 1 open, longest m2, 1 replayed",
        "03-10 08:30 bureau digest: 1d 0 new, 0 solved, 1 open, longest m2",
    ]


def test_a_digest_that_is_a_few_hours_late_is_told_and_an_old_one_is_not() -> None:
    scene = Scene("2026-03-03 08:00")
    scene.clock_steps(timedelta(hours=3))
    assert scene.said() == ["03-03 11:00 bureau digest: 1d 0 new, 0 solved, 0 open"]

    scene.clock_steps(timedelta(days=3, hours=-5))

    assert scene.said() == ["03-06 06:00 bureau digest: 1d 0 new, 0 solved, 0 open"]

    scene.clock_steps(timedelta(days=2))  # Sunday: Friday's is two days late

    assert scene.said() == []


# ---- clocks


def test_a_clock_that_is_set_back_by_a_day_delays_nothing() -> None:
    scene = Scene()
    scene.fires("leak", "m1", "red")
    scene.passes("10m")
    told(scene)

    scene.clock_steps(timedelta(days=-1))
    scene.passes("5m")
    scene.fires("leak", "m2", "red")
    scene.passes("45m")

    assert told(scene) == [
        "03-01 09:15 head escalation: escalation red leak m1",
        "03-01 09:15 duty alerts: new red leak m2; 1 still",
        "03-01 09:30 bureau escalation: escalation red leak m1",
        "03-01 09:30 health escalation: escalation red leak m1",
        "03-01 09:30 head escalation: escalation red leak m2; 1 still",
        "03-01 09:45 bureau escalation: escalation red leak m2; 1 still",
        "03-01 09:45 health escalation: escalation red leak m2; 1 still",
    ]


def test_a_clock_that_is_set_forward_says_each_thing_once() -> None:
    scene = Scene()
    scene.fires("leak", "m1", "red")
    told(scene)

    scene.clock_steps(timedelta(hours=10))
    scene.passes("10m")

    assert told(scene) == [
        "03-02 19:00 head escalation: escalation red leak m1",
        "03-02 19:00 bureau escalation: escalation red leak m1",
        "03-02 19:00 health escalation: escalation red leak m1",
        "03-02 19:00 duty repeat: repeat red leak m1",
    ]


# ---- the calendar of another year


def test_in_a_year_that_no_calendar_knows_weekdays_decide() -> None:
    calendar = Calendar(years=frozenset({2026}), days={})
    scene = Scene("2026-12-31 10:00", classify=calendar.classify)  # a Thursday

    outage = scene.fires("meter-silent", "m1", "yellow")
    scene.passes("1h")
    scene.acknowledges(outage, "30d")
    scene.until("2027-01-06 12:00")

    assert told(scene)[-1] == "01-05 10:00 bureau escalation: overdue yellow meter-silent m1"


def test_holidays_are_no_working_days_and_adjusted_workdays_are() -> None:
    days = {date(2026, 2, day): DayClass.HOLIDAY for day in range(15, 24)}
    days[date(2026, 2, 14)] = days[date(2026, 2, 28)] = DayClass.WORKDAY
    calendar = Calendar(years=frozenset({2026}), days=days)
    scene = Scene("2026-02-13 12:00", classify=calendar.classify)  # a Friday

    outage = scene.fires("meter-silent", "m1", "yellow")
    scene.passes("1h")
    scene.acknowledges(outage, "30d")
    scene.until("2026-02-28 12:00")

    assert at("2026-02-24 12:00") - at("2026-02-13 12:00") == ms("11d")
    assert told(scene)[-1] == "02-25 12:00 bureau escalation: overdue yellow meter-silent m1"
