import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents.finding import DocumentInvalid
from documents.tree import parse, read_mapping, read_tree

TEXT = st.text(alphabet="abz019 .:-_#'\"\\/,[]{}能耗", max_size=12)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def scalar(text):
    tree = parse(f"key: {text}", file="x.yaml")
    assert not tree.findings
    return tree.value["key"]


@given(VALUES)
def test_whatever_json_says_is_read_as_said(value):
    tree = parse(json.dumps(value, ensure_ascii=False), file="x.yaml")

    assert tree.value == value
    assert tree.findings == ()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("0x10", 16),
        ("-0x8000", -32768),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("120101E001", 1201010.0),
        (".5", 0.5),
    ],
)
def test_an_unquoted_scalar_is_what_every_yaml_takes_it_for(text, meant):
    assert scalar(text) == meant
    assert type(scalar(text)) is type(meant)


@pytest.mark.parametrize(
    "text", ["yes", "no", "on", "off", "True", "y", "2026-01-01", "12:30:00", "1_000", ".nan"]
)
def test_what_yaml_versions_dispute_is_a_text(text):
    assert scalar(text) == text


@pytest.mark.parametrize("text", ['"true"', "'02000'", '"120101E001"', "'~'"])
def test_what_is_quoted_is_a_text(text):
    assert scalar(text) == text[1:-1]


@pytest.mark.parametrize("text", ["02000", "007", "1e999", "-0777"])
def test_a_number_that_nobody_can_read_safely_is_refused(text):
    tree = parse(f"key: {text}", file="x.yaml")

    assert tree.value == {"key": text}
    assert [finding.key for finding in tree.findings] == ["key"]
    assert f'"{text}" in quotes' in tree.findings[0].message


def test_a_key_is_held_to_the_same():
    tree = parse("factors:\n  02000: 1\n", file="x.yaml")

    assert str(tree.findings[0]).startswith("x.yaml:2: factors.02000: 02000 has a leading zero")


def test_every_key_and_entry_knows_its_line():
    tree = parse("a: 1\nb:\n  - x\n  - c: >\n      long\nd:\n  e: {f: 2}\n", file="x.yaml")

    assert tree.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "c"): 4,
        ("d",): 6,
        ("d", "e"): 7,
        ("d", "e", "f"): 7,
    }
    assert tree.line(("b", 1, "missing")) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", "x.yaml:2: a: key given twice, first in line 1"),
        ("a: &n 1\nb: *n\n", "x.yaml:2: b: anchors and aliases (&, *) are not allowed"),
        ("a: &n {b: *n}\n", "x.yaml:1: a.b: anchors and aliases (&, *) are not allowed"),
        ("a: !!python/none x\n", "x.yaml:1: a: tags (!!python/none) are not allowed"),
        ("? [a, b]\n: 1\n", "x.yaml:1: a key must be a text, a list or mapping came"),
    ],
)
def test_what_a_document_has_no_need_of_is_refused(text, said):
    tree = parse(text, file="x.yaml")

    assert [str(finding)[: len(said)] for finding in tree.findings] == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\n", "x.yaml:2: is not YAML: "),
        ("a: 1\n---\nb: 2\n", "x.yaml:2: is not YAML: but found another document"),
        ("a: \x00\n", "x.yaml: is not YAML: unacceptable character #x0000"),
        ("a:\n  " + "[" * 50_000, "x.yaml:2: nested more than 50 levels deep"),
        ("a: *n\n", "x.yaml:1: is not YAML: found undefined alias"),
    ],
)
def test_what_is_no_yaml_says_where(text, said):
    with pytest.raises(DocumentInvalid) as raised:
        parse(text, file="x.yaml")

    assert str(raised.value).startswith(said)


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(DocumentInvalid, match=r"none\.yaml: cannot be read: No such file"):
        read_tree(tmp_path / "none.yaml")


def test_a_file_saved_as_gbk_says_so(tmp_path):
    (tmp_path / "x.yaml").write_bytes("name: 示例".encode("gbk"))

    with pytest.raises(DocumentInvalid, match=r"x\.yaml: is not UTF-8; save it as UTF-8"):
        read_tree(tmp_path / "x.yaml")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path):
    (tmp_path / "x.yaml").write_text("name: 示例", encoding="utf-8-sig")

    assert read_mapping(tmp_path / "x.yaml") == {"name": "示例"}


@pytest.mark.parametrize("text", ["- a\n", "a: 1\na: 2\n", "a: 01\n"])
def test_a_mapping_is_returned_only_if_it_is_one_and_clean(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)

    with pytest.raises(DocumentInvalid):
        read_mapping(tmp_path / "x.yaml")
