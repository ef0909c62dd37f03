from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from documents.finding import DocumentInvalid, Problem
from documents.load import load, load_document
from documents.strict import Strict, matching
from metering.errors import PermanentError


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Mail(Strict):
    kind: Literal["mail"]
    address: str


class Phone(Strict):
    kind: Literal["phone"]
    number: Annotated[str, matching("[0-9]+", "a number of digits")]


class Lamp(Strict):
    colour: Colour = Colour.RED
    watts: Annotated[float, Field(gt=0, le=100)] = 1
    pair: tuple[int, int] = (0, 0)
    on: bool = False
    spare: int | None = None
    named: dict[str, Mail] = Field(default_factory=dict)


class House(Strict):
    name: Annotated[str, Field(min_length=2)]
    lamps: Annotated[tuple[Lamp, ...], Field(min_length=1)] = (Lamp(),)
    tell: Annotated[Mail | Phone, Field(discriminator="kind")] | None = None
    either: int | Lamp = 0


def write(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_text(text, encoding="utf-8")
    return Path("x.yaml")


def test_a_good_document_becomes_frozen_values(tmp_path, monkeypatch):
    file = write(
        tmp_path,
        monkeypatch,
        "name: 示例\nlamps:\n- {colour: green, watts: 5, pair: [1, 2], on: true}\n",
    )

    house = load(file, House)

    assert house == House(
        name="示例", lamps=(Lamp(colour=Colour.GREEN, watts=5, pair=(1, 2), on=True),)
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nane: x", "nane: unknown key; did you mean 'name'?"),
        ("qqq: x", "qqq: unknown key; known here: either, lamps, name, tell"),
        ("lamps: [{wats: 5}]", "lamps[0].wats: unknown key; did you mean 'watts'?"),
        ("lamps: 5", "lamps: a list is needed, the number 5 came"),
        ("lamps:", "lamps: a list is needed, nothing came"),
        ("lamps: []", "lamps: entries: at least 1 needed, 0 came"),
        ("lamps: [5]", "lamps[0]: a mapping (key: value) is needed, the number 5 came"),
        (
            "lamps: [{colour: grene}]",
            (
                "lamps[0].colour: one of 'red' or 'green' is needed, 'grene' came; "
                "did you mean 'green'?"
            ),
        ),
        (
            "lamps: [{colour: true}]",
            "lamps[0].colour: one of 'red' or 'green' is needed, true came",
        ),
        ("lamps: [{watts: 0}]", "lamps[0].watts: a number above 0 is needed, the number 0 came"),
        (
            "lamps: [{watts: 1e3}]",
            "lamps[0].watts: a number of at most 100 is needed, the number 1e3 came",
        ),
        (
            'lamps: [{watts: "5"}]',
            "lamps[0].watts: a number is needed, '5' came; write it without quotes",
        ),
        ("lamps: [{watts: .inf}]", "lamps[0].watts: a number is needed, '.inf' came"),
        ("lamps: [{pair: [1]}]", "lamps[0].pair: entries: at least 2 needed, 1 came"),
        ("lamps: [{pair: [1, 2, 3]}]", "lamps[0].pair: entries: at most 2 possible, 3 came"),
        (
            "lamps: [{pair: [1, 2.0]}]",
            "lamps[0].pair[1]: a whole number is needed, the number 2.0 came",
        ),
        ("lamps: [{on: yes}]", "lamps[0].on: true or false is needed, 'yes' came"),
        ("lamps: [{spare: x}]", "lamps[0].spare: a whole number is needed, 'x' came"),
        ("lamps: [{named: {a: {knd: mail}}}]", "lamps[0].named.a.kind: required, but missing"),
        ("tell: {kind: mail, adress: x}", "tell.adress: unknown key; did you mean 'address'?"),
        ("tell: {kind: phone, number: x1}", "tell.number: a number of digits is needed, 'x1' came"),
        (
            "tell: {kind: phone, number: 0123}",
            (
                "tell.number: 0123 has a leading zero, which YAML may read as octal; "
                'write "0123" in quotes if it is a code, without the zero if it is a number'
            ),
        ),
        (
            "tell: {kind: phone, number: 123}",
            'tell.number: a text is needed, the number 123 came; write it in quotes: "123"',
        ),
        ("tell: {kind: fax}", "tell: 'kind': one of 'mail', 'phone' is needed, a mapping came"),
        (
            "either: x",
            (
                "either: a whole number is needed, 'x' came; "
                "or a mapping (key: value) is needed, 'x' came"
            ),
        ),
    ],
)
def test_a_mistake_says_what_was_asked_and_what_came(tmp_path, monkeypatch, line, said):
    file = write(tmp_path, monkeypatch, f"name: ok\n{line}\n")

    with pytest.raises(DocumentInvalid) as raised:
        load(file, House)

    assert f"x.yaml:2: {said}" in str(raised.value).splitlines()


def test_all_mistakes_come_at_once_in_the_order_of_the_file(tmp_path, monkeypatch):
    file = write(tmp_path, monkeypatch, "name: x\nname: y\nlamps:\n- {on: 1}\n- {watts: 0x}\n")

    with pytest.raises(DocumentInvalid) as raised:
        load(file, House)

    assert isinstance(raised.value, PermanentError)
    assert [(finding.line, finding.key) for finding in raised.value.findings] == [
        (2, "name"),
        (4, "lamps[0].on"),
        (5, "lamps[1].watts"),
    ]


def test_what_is_missing_points_at_what_lacks_it(tmp_path, monkeypatch):
    file = write(tmp_path, monkeypatch, "\n\ntell:\n  kind: mail\n")

    with pytest.raises(DocumentInvalid) as raised:
        load(file, House)

    assert str(raised.value) == (
        "x.yaml:3: name: required, but missing\nx.yaml:3: tell.address: required, but missing"
    )


def test_a_check_speaks_in_key_paths_and_is_answered_in_lines(tmp_path, monkeypatch):
    file = write(tmp_path, monkeypatch, "name: ok\nlamps:\n- {watts: 3}\n- {watts: 3}\n")

    def no_twins(house):
        assert len(house.lamps) == 2
        yield Problem(("lamps", 1, "watts"), "same as another", other=("lamps", 0, "watts"))

    with pytest.raises(DocumentInvalid) as raised:
        load(file, House, no_twins)

    assert str(raised.value) == "x.yaml:4: lamps[1].watts: same as another (first in line 3)"


def test_a_check_is_not_asked_about_a_broken_file(tmp_path, monkeypatch):
    file = write(tmp_path, monkeypatch, "name: 5\n")

    def never(_):
        raise AssertionError

    with pytest.raises(DocumentInvalid):
        load(file, House, never)


def test_a_document_keeps_its_lines(tmp_path, monkeypatch):
    file = write(tmp_path, monkeypatch, "name: ok\nlamps:\n- on: true\n")

    document = load_document(file, House)

    assert document.model.lamps[0].on
    assert str(document.finding(Problem(("lamps", 0, "on"), "too bright"))) == (
        "x.yaml:3: lamps[0].on: too bright"
    )
