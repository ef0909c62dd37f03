from gateways.library.model import Table
from gateways.reading.terrain import Hole, Terrain

DAY_MS = 86_400_000


def test_what_is_learnt_again_is_known_once_and_keeps_the_newer_instant():
    first = Terrain().learn([Hole(Table.INPUT, 12, 1)], None, 1_000)
    again = first.learn([Hole(Table.INPUT, 12, 1)], None, 2_000)

    assert again.holes == (Hole(Table.INPUT, 12, 1, 2_000),)


def test_the_shortest_length_that_was_learnt_holds():
    terrain = Terrain().learn([], 40, 1_000).learn([], 20, 2_000).learn([], 30, 3_000)

    assert (terrain.longest, terrain.longest_since_ms) == (20, 2_000)


def test_what_is_old_is_asked_again():
    terrain = Terrain().learn([Hole(Table.INPUT, 12, 1)], 40, 0)
    terrain = terrain.learn([Hole(Table.INPUT, 90, 2)], None, 8 * DAY_MS)

    assert terrain.without_older_than(DAY_MS) == Terrain(
        holes=(Hole(Table.INPUT, 90, 2, 8 * DAY_MS),), longest=None
    )


def test_a_hole_is_spelled_as_an_installer_finds_it_in_the_map():
    assert str(Hole(Table.HOLDING, 12, 1)) == "holding 12"
    assert str(Hole(Table.INPUT, 12, 3)) == "input 12..14"
