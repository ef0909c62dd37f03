"""Where subjects stand in the example fleet, and whom a rule concerns."""

import pytest
from msgspec import structs

from collector.alerting.place import Places
from collector.alerting.rule import Scope
from collector.alerting.subject import Place, Subject, SubjectKind
from collector.fleet.index import Sector, VirtualMeter
from tests.fakes.alerting import START_MS, Life, at, threshold
from tests.fakes.centre import example_fleet

FLEET = structs.replace(
    example_fleet(),
    virtual_meters={
        "e001-rest": VirtualMeter(
            id="e001-rest", energy="01D00", circuit="其余", parts=(("e001-main", 1.0),)
        )
    },
)
PLACES = Places(FLEET)
HOSPITAL = {"district": "120101", "sector": Sector.HOSPITAL, "institution": "e001"}


@pytest.mark.parametrize(
    ("kind", "name", "place"),
    [
        (
            SubjectKind.METER,
            "e001-light",
            Place(
                **HOSPITAL,
                building="e001-b1",
                gateway="gw-e001",
                meter="e001-light",
                energy="01A00",
                upstream=("e001-main",),
            ),
        ),
        (
            SubjectKind.METER,
            "e001-rest",
            Place(**HOSPITAL, building="e001-b1", meter="e001-rest", energy="01D00"),
        ),
        (SubjectKind.BUILDING, "e001-b1", Place(**HOSPITAL, building="e001-b1")),
        (SubjectKind.INSTITUTION, "e001", Place(**HOSPITAL)),
        (
            SubjectKind.GATEWAY,
            "gw-e001",
            Place(**HOSPITAL, building="e001-b1", gateway="gw-e001"),
        ),
        (SubjectKind.SYSTEM, "store", Place(district="120101")),
    ],
)
def test_every_kind_of_subject_has_its_place(kind: SubjectKind, name: str, place: Place) -> None:
    assert PLACES.place(Subject(kind, name), START_MS) == place


@pytest.mark.parametrize("kind", [kind for kind in SubjectKind if kind is not SubjectKind.SYSTEM])
def test_what_the_fleet_does_not_know_has_none(kind: SubjectKind) -> None:
    assert PLACES.place(Subject(kind, "nobody"), START_MS) is None
    assert not PLACES.concerns(threshold(), Subject(kind, "nobody"), START_MS)


def test_a_meter_has_no_place_before_its_time() -> None:
    assert PLACES.place(Subject(SubjectKind.METER, "e001-main"), 0) is None


def test_a_scope_speaks_of_real_meters() -> None:
    schools = threshold(scope=Scope(sectors=frozenset({Sector.SCHOOL})))

    assert not PLACES.concerns(schools, Subject(SubjectKind.METER, "e001-main"), START_MS)
    assert PLACES.concerns(schools, Subject(SubjectKind.METER, "e001-rest"), START_MS)
    assert PLACES.concerns(schools, Subject(SubjectKind.BUILDING, "e001-b1"), START_MS)


def test_a_record_of_a_meter_that_is_no_more_is_not_cut_short() -> None:
    (entry,) = FLEET.meters["e001-main"]
    ended = (structs.replace(entry, valid_to_ms=at(60)),)
    fleet = structs.replace(FLEET, meters=FLEET.meters | {"e001-main": ended})
    life = Life(threshold(), fleet=fleet)
    life.see(0, 600.0, now=1000)

    assert life.tick(1001) == []
