"""Between paho's thread and the pipeline's: bounded, grouped, never in the way."""

import time
from threading import Event, Thread

from collector.inbox import Inbox
from link.mqtt import Delivery
from tests.fakes.link import link_word

NEVER_MS = 60_000  # a test that waits for this fails by its timeout
SOON_S = 10.0


def inbox(*, every_ms: int = NEVER_MS, at_most: int = 3, limit: int = 5) -> Inbox:
    return Inbox(every_ms=every_ms, at_most=at_most, limit=limit)


def words(count: int) -> list[Delivery]:
    return [link_word(b"online") for _ in range(count)]


def grouped(box: Inbox) -> tuple[Thread, list[list[Delivery]]]:
    """A thread that waits for one group."""
    groups: list[list[Delivery]] = []
    thread = Thread(target=lambda: groups.append(box.group()), daemon=True)
    thread.start()
    return thread, groups


def test_a_full_group_is_handed_out_at_once_in_order() -> None:
    box, said = inbox(), words(4)
    for one in said:
        box.put(one)

    assert box.group() == said[:3]
    assert len(box) == 1


def test_a_small_group_is_handed_out_after_its_time() -> None:
    box, said = inbox(every_ms=1), words(1)
    box.put(said[0])

    assert box.group() == said


def test_a_group_waits_for_more_and_goes_when_it_is_full() -> None:
    box, said = inbox(), words(3)
    box.put(said[0])
    thread, groups = grouped(box)

    for one in said[1:]:
        box.put(one)
    thread.join(SOON_S)

    assert groups == [said]


def test_what_is_beyond_the_limit_is_refused_and_counted_and_nothing_waits() -> None:
    box, said = inbox(limit=5), words(1000)

    began = time.monotonic()
    for one in said:
        box.put(one)

    assert time.monotonic() - began < SOON_S
    assert (len(box), box.refused) == (5, 995)


def test_there_is_room_again_once_a_group_was_taken() -> None:
    box, said = inbox(at_most=2, limit=2), words(3)
    for one in said:
        box.put(one)
    box.group()

    box.put(said[2])

    assert (len(box), box.refused) == (1, 1)


def test_a_nudge_wakes_the_pipeline_once() -> None:
    box = inbox()
    thread, groups = grouped(box)

    box.nudge()
    thread.join(SOON_S)
    assert groups == [[]]

    thread, groups = grouped(box)
    thread.join(0.05)
    assert thread.is_alive()
    box.close()
    thread.join(SOON_S)


def test_a_nudge_hands_out_what_is_there() -> None:
    box, said = inbox(), words(1)
    box.put(said[0])
    box.nudge()

    assert box.group() == said


def test_a_closed_inbox_waits_for_nothing() -> None:
    box = inbox()
    thread, groups = grouped(box)

    box.close()
    thread.join(SOON_S)

    assert groups == [[]]
    assert box.closed
    assert box.group() == []


def test_a_fallen_connections_deliveries_are_forgotten() -> None:
    box = inbox()
    for one in words(2):
        box.put(one)

    box.forget()

    assert len(box) == 0
    box.nudge()
    assert box.group() == []


def test_deliveries_from_another_thread_all_come_through_in_order() -> None:
    box, said = inbox(every_ms=1, at_most=20, limit=10_000), words(2_000)
    begun = Event()

    def speak() -> None:
        begun.set()
        for one in said:
            box.put(one)

    Thread(target=speak, daemon=True).start()
    begun.wait(SOON_S)
    taken: list[Delivery] = []
    while len(taken) < len(said):
        taken += box.group()

    assert taken == said
