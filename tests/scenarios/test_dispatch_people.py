"""What people do about alerts: acknowledge, silence, sleep; and who hears of it else."""

from datetime import timedelta

from tests.fakes.scene import Scene


def leaks(scene: Scene) -> list[str]:
    """What was said of alerts, the digests of the mornings left out."""
    return [line for line in scene.said() if " digest: " not in line]


# ---- acknowledgement and escalation


def test_an_alert_that_nobody_takes_on_goes_up_the_chain() -> None:
    scene = Scene()

    leak = scene.fires("leak", "m1", "red")
    scene.passes("45m")
    scene.resolves(leak)

    assert leaks(scene) == [
        "03-02 09:00 duty alerts: new red leak m1",
        "03-02 09:15 head escalation: escalation red leak m1",
        "03-02 09:30 bureau escalation: escalation red leak m1",
        "03-02 09:30 health escalation: escalation red leak m1",
        "03-02 09:45 duty alerts: resolved red leak m1",
        "03-02 09:45 head alerts: resolved red leak m1",
        "03-02 09:45 bureau alerts: resolved red leak m1",
        "03-02 09:45 health alerts: resolved red leak m1",
    ]


def test_the_department_is_that_of_the_sector() -> None:
    scene = Scene()

    scene.fires("leak", "m1", "red", sector="school")
    scene.passes("31m")

    assert [line.split()[2] for line in leaks(scene)] == ["duty", "head", "bureau", "education"]


def test_escalation_stops_with_an_acknowledgement_and_so_do_repeats() -> None:
    scene = Scene()

    leak = scene.fires("leak", "m1", "red")
    scene.passes("20m")
    scene.acknowledges(leak)
    scene.passes("20h")

    assert leaks(scene) == [
        "03-02 09:00 duty alerts: new red leak m1",
        "03-02 09:15 head escalation: escalation red leak m1",
    ]


def test_an_acknowledged_alert_that_resolves_is_told_to_whom_was_told() -> None:
    scene = Scene()
    leak = scene.fires("leak", "m1", "red")
    scene.passes("20m")
    scene.acknowledges(leak)
    leaks(scene)

    scene.resolves(leak)

    assert leaks(scene) == [
        "03-02 09:20 duty alerts: resolved red leak m1",
        "03-02 09:20 head alerts: resolved red leak m1",
    ]


def test_an_acknowledgement_that_expires_tells_again_and_goes_up_again() -> None:
    scene = Scene()
    leak = scene.fires("leak", "m1", "red")
    scene.passes("20m")
    scene.acknowledges(leak, "2h")
    scene.passes("2h")
    leaks(scene)

    scene.ack_expires(leak)
    scene.passes("35m")

    assert leaks(scene) == [
        "03-02 11:20 duty alerts: ack_expired red leak m1",
        "03-02 11:35 head escalation: escalation red leak m1",
        "03-02 11:50 bureau escalation: escalation red leak m1",
        "03-02 11:50 health escalation: escalation red leak m1",
    ]


def test_an_alert_that_is_taken_on_before_anybody_is_told_is_told_when_that_expires() -> None:
    scene = Scene()
    leak = scene.fires("leak", "m1", "yellow")
    scene.passes("1m")
    scene.acknowledges(leak, "1h")
    scene.passes("1h")
    assert leaks(scene) == []

    scene.ack_expires(leak)
    scene.passes("5m")

    assert leaks(scene) == ["03-02 10:01 duty alerts: new yellow leak m1"]


def test_an_alert_that_fires_again_because_it_got_worse_goes_up_from_then_on() -> None:
    scene = Scene()
    leak = scene.fires("leak", "m1", "orange")
    scene.passes("10m")
    scene.acknowledges(leak)
    scene.passes("5h")
    leaks(scene)

    scene.fires_again(leak, "red")
    scene.passes("20m")

    assert leaks(scene) == [
        "03-02 14:10 duty alerts: worse red leak m1",
        "03-02 14:25 head escalation: escalation red leak m1",
    ]


def test_a_colour_that_a_stage_does_not_name_is_not_escalated() -> None:
    scene = Scene()

    scene.fires("leak", "m1", "yellow")
    scene.passes("20h")

    assert leaks(scene) == ["03-02 09:02 duty alerts: new yellow leak m1"]


def test_alerts_of_a_group_that_fire_one_after_the_other_go_up_together() -> None:
    scene = Scene()

    scene.fires("leak", "m1", "red")
    scene.passes("1m")
    scene.fires("leak", "m2", "red")
    scene.passes("14m")

    assert leaks(scene) == [
        "03-02 09:00 duty alerts: new red leak m1",
        "03-02 09:01 duty alerts: new red leak m2; 1 still",
        "03-02 09:15 head escalation: escalation red leak m1; escalation red leak m2",
    ]


# ---- working days


def test_a_data_outage_is_told_to_the_bureau_after_three_working_days_even_if_taken_on() -> None:
    scene = Scene("2026-03-06 10:00")  # a Friday

    outage = scene.fires("meter-silent", "m1", "yellow")
    scene.passes("1h")
    scene.acknowledges(outage, "30d")
    scene.until("2026-03-12 12:00")

    assert leaks(scene) == [
        "03-06 10:02 duty alerts: new yellow meter-silent m1",
        "03-11 10:00 bureau escalation: overdue yellow meter-silent m1",
    ]


def test_an_outage_that_begins_on_a_saturday_has_the_whole_of_the_next_three_working_days() -> None:
    scene = Scene("2026-03-07 10:00")

    outage = scene.fires("meter-silent", "m1", "yellow")
    scene.passes("1h")
    scene.acknowledges(outage, "30d")
    scene.until("2026-03-13 12:00")

    assert leaks(scene)[1:] == ["03-12 00:00 bureau escalation: overdue yellow meter-silent m1"]


# ---- silences


def test_a_silenced_alert_says_nothing_and_is_told_when_the_silence_ends() -> None:
    scene = Scene()
    scene.silences("2h", institution="e001")

    scene.fires("leak", "m1", "red")
    scene.passes("119m")
    assert leaks(scene) == []
    scene.passes("1m")

    assert leaks(scene) == ["03-02 11:00 duty alerts: new red leak m1"]


def test_a_silence_that_begins_while_it_fires_stops_repeats_and_escalation() -> None:
    scene = Scene()
    scene.fires("leak", "m1", "red")
    scene.passes("10m")
    scene.silences("3h", meter="m1")
    leaks(scene)

    scene.passes("179m")
    assert leaks(scene) == []
    scene.passes("20m")

    assert leaks(scene) == [
        "03-02 12:10 duty alerts: silence_ended red leak m1",
        "03-02 12:25 head escalation: escalation red leak m1",
    ]


def test_what_resolves_in_a_silence_is_told_after_it_only_to_whom_was_told_before() -> None:
    scene = Scene()
    known = scene.fires("leak", "m1", "red")
    leaks(scene)
    scene.silences("1h", institution="e001")
    unknown = scene.fires("voltage", "m2", "red")
    scene.passes("10m")

    scene.resolves(known)
    scene.resolves(unknown)
    scene.passes("2h")

    assert leaks(scene) == ["03-02 10:00 duty alerts: resolved red leak m1"]


def test_a_silence_that_is_expired_by_hand_is_over() -> None:
    scene = Scene()
    silence = scene.silences("5h", group="leak")
    scene.fires("leak", "m1", "red")
    scene.passes("10m")

    scene.expires(silence)

    assert leaks(scene) == ["03-02 09:10 duty alerts: new red leak m1"]


def test_a_silence_of_something_else_hides_nothing() -> None:
    scene = Scene()
    scene.silences("5h", institution="e001", severity="blue")
    scene.silences("5h", nonsense="*")

    scene.fires("leak", "m1", "red")

    assert leaks(scene) == ["03-02 09:00 duty alerts: new red leak m1"]


def test_of_two_silences_the_later_end_counts() -> None:
    scene = Scene()
    scene.silences("1h", group="leak")
    scene.silences("2h", rule="le*")
    scene.fires("leak", "m1", "red")

    scene.passes("3h")

    assert leaks(scene)[0] == "03-02 11:00 duty alerts: new red leak m1"


# ---- quiet hours


def test_in_quiet_hours_what_is_less_bad_waits_and_is_told_as_one_in_the_morning() -> None:
    scene = Scene("2026-03-02 21:00")

    scene.fires("leak", "m1", "yellow")
    scene.passes("2h")
    scene.fires("voltage", "m2", "yellow")
    scene.until("2026-03-03 02:00")
    scene.fires("load", "m3", "blue")
    scene.until("2026-03-03 07:30")

    assert leaks(scene) == [
        "03-02 21:02 duty alerts: new yellow leak m1",
        "03-03 07:00 duty alerts: new yellow voltage m2; new blue load m3",
    ]


def test_what_is_bad_enough_wakes_people() -> None:
    scene = Scene("2026-03-02 23:30")

    scene.fires("leak", "m1", "orange")
    scene.passes("1m")

    assert leaks(scene) == ["03-02 23:30:30 duty alerts: new orange leak m1"]


def test_a_rule_that_pages_wakes_people_whatever_its_colour() -> None:
    scene = Scene("2026-03-02 23:30", paging=("spool",))

    scene.fires("spool", "m1", "yellow")
    scene.passes("5m")

    assert leaks(scene) == ["03-02 23:32 duty alerts: new yellow spool m1"]


def test_what_is_over_before_the_morning_was_never_told() -> None:
    scene = Scene("2026-03-02 23:30")

    leak = scene.fires("leak", "m1", "yellow")
    scene.passes("1h")
    scene.resolves(leak)
    scene.until("2026-03-03 08:00")

    assert leaks(scene) == []


def test_what_was_told_in_the_evening_and_ended_at_night_is_told_in_the_morning() -> None:
    scene = Scene("2026-03-02 21:00")
    leak = scene.fires("leak", "m1", "yellow")
    scene.passes("3h")

    scene.resolves(leak)
    scene.until("2026-03-03 08:00")

    assert leaks(scene) == [
        "03-02 21:02 duty alerts: new yellow leak m1",
        "03-03 07:00 duty alerts: resolved yellow leak m1",
    ]


def test_what_was_told_as_one_resolves_and_repeats_as_one() -> None:
    scene = Scene("2026-03-02 23:00")
    first = scene.fires("leak", "m1", "yellow")
    second = scene.fires("voltage", "m2", "yellow")
    scene.until("2026-03-04 07:30")

    scene.resolves(first)
    scene.resolves(second)
    scene.passes("1h")

    assert leaks(scene) == [
        "03-03 07:00 duty alerts: new yellow leak m1; new yellow voltage m2",
        "03-04 07:00 duty repeat: repeat yellow leak m1; repeat yellow voltage m2",
        "03-04 07:32 duty alerts: resolved yellow leak m1; resolved yellow voltage m2",
    ]


def test_quiet_hours_hold_after_the_clock_was_set_back_into_them() -> None:
    scene = Scene("2026-03-03 07:05")
    scene.clock_steps(timedelta(minutes=-30))

    scene.fires("leak", "m1", "yellow")
    scene.passes("20m")
    assert leaks(scene) == []
    scene.passes("6m")

    assert leaks(scene) == ["03-03 07:00 duty alerts: new yellow leak m1"]
