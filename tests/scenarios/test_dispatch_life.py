"""What one receiver hears of one alert, from its firing to its end."""

from collector.alerting.subject import SubjectKind
from tests.fakes.scene import Scene


def test_a_red_alert_is_told_at_once_and_its_end_to_whom_was_told() -> None:
    scene = Scene()

    leak = scene.fires("leak", "m1", "red")
    scene.passes("10m")
    scene.resolves(leak)
    scene.passes("1h")

    assert scene.said() == [
        "03-02 09:00 duty alerts: new red leak m1",
        "03-02 09:10 duty alerts: resolved red leak m1",
    ]
    assert "alerts" not in scene.remembers()


def test_a_yellow_alert_waits_for_its_group() -> None:
    scene = Scene()

    scene.fires("leak", "m1", "yellow")
    scene.passes("1m")
    scene.fires("leak", "m2", "yellow")
    scene.passes("10m")

    assert scene.said() == [
        "03-02 09:02 duty alerts: new yellow leak m1; new yellow leak m2",
    ]


def test_what_comes_after_a_notice_waits_for_the_interval_unless_it_is_worse() -> None:
    scene = Scene()

    scene.fires("leak", "m1", "yellow")
    scene.passes("3m")
    scene.fires("leak", "m2", "yellow")
    scene.passes("10m")
    scene.fires("leak", "m3", "red")
    scene.passes("1h")

    assert scene.said() == [
        "03-02 09:02 duty alerts: new yellow leak m1",
        "03-02 09:13 duty alerts: new red leak m3; new yellow leak m2; 1 still",
        "03-02 09:28 head escalation: escalation red leak m3",
        "03-02 09:43 bureau escalation: escalation red leak m3",
        "03-02 09:43 health escalation: escalation red leak m3",
        "03-02 10:13 duty repeat: repeat red leak m3; 2 still",
    ]


def test_another_matter_or_building_is_another_notice() -> None:
    scene = Scene()

    scene.fires("leak", "m1", "red")
    scene.fires("voltage", "m1", "red")
    scene.fires("leak", "m2", "red", building="e001-b2")

    assert scene.said() == [
        "03-02 09:00 duty alerts: new red leak m1",
        "03-02 09:00 duty alerts: new red voltage m1",
        "03-02 09:00 duty alerts: new red leak m2",
    ]


def test_what_fired_and_resolved_before_anybody_was_told_is_told_to_nobody() -> None:
    scene = Scene()

    leak = scene.fires("leak", "m1", "yellow")
    scene.passes("1m")
    scene.resolves(leak)
    scene.passes("1d")

    assert [line for line in scene.said() if "leak" in line] == []


def test_it_is_said_again_while_nobody_answers() -> None:
    scene = Scene()

    scene.fires("leak", "m1", "blue")
    scene.passes("8d")

    said = [line for line in scene.said() if "leak" in line]
    assert said == [
        "03-02 09:05 duty alerts: new blue leak m1",
        "03-09 09:05 duty repeat: repeat blue leak m1",
    ]


def test_an_alert_that_gets_worse_is_told_again() -> None:
    scene = Scene()
    leak = scene.fires("leak", "m1", "yellow")
    scene.passes("5m")
    scene.said()

    scene.gets(leak, "red")

    assert scene.said() == ["03-02 09:05 duty alerts: worse red leak m1"]


def test_an_alert_that_gets_better_and_still_fires_says_nothing_now() -> None:
    scene = Scene()
    leak = scene.fires("leak", "m1", "orange")
    scene.passes("5m")
    scene.said()

    scene.gets(leak, "yellow")
    scene.passes("1h")

    assert scene.said() == []


def test_an_alert_that_gets_worse_is_told_even_if_it_was_acknowledged() -> None:
    scene = Scene()
    leak = scene.fires("leak", "m1", "yellow")
    scene.passes("5m")
    scene.acknowledges(leak)
    scene.said()

    scene.gets(leak, "red")

    assert scene.said() == ["03-02 09:05 duty alerts: worse red leak m1"]


def test_the_end_of_some_of_a_group_is_told_with_what_still_fires() -> None:
    scene = Scene()
    first = scene.fires("leak", "m1", "red", plan=False)
    scene.fires("leak", "m2", "red")
    scene.said()
    scene.passes("5m")

    scene.resolves(first)

    assert scene.said() == ["03-02 09:05 duty alerts: resolved red leak m1; 1 still"]


def test_an_alert_of_the_centre_itself_goes_to_whoever_runs_it() -> None:

    scene = Scene()

    scene.fires("store-away", "database", "red", kind=SubjectKind.SYSTEM)

    assert scene.said() == ["03-02 09:00 admin alerts: new red store-away database"]


def test_a_post_that_nobody_holds_is_passed_over() -> None:
    scene = Scene()

    scene.fires("leak", "s1", "red", institution="d001", sector="school", building="d001-b1")

    assert scene.said() == [
        "03-02 09:00 bureau alerts: new red leak s1",
        "03-02 09:00 education alerts: new red leak s1",
    ]


def test_two_routes_that_continue_tell_each_receiver_once() -> None:
    scene = Scene()

    scene.fires("budget", "e001", "red")

    assert scene.said() == [
        "03-02 09:00 bureau alerts: new red budget e001",
        "03-02 09:00 duty alerts: new red budget e001",
    ]
