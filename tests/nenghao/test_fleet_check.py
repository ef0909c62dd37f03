"""`nenghao fleet check`: every file of the configuration, with the same strictness."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nenghao.configuration import check_configuration
from tests.nenghao.process import typed

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(CONFIG, tmp_path / "config")
    return tmp_path / "config"


def told(folder: Path) -> list[str]:
    found = (one for one in check_configuration(folder) if not one.warning)
    return [str(one).removeprefix(f"{folder}/") for one in found]


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_example_has_no_mistake(folder: Path) -> None:
    assert told(folder) == []


def test_thresholds_are_read_with_line_key_and_the_nearest_known_key(folder: Path) -> None:
    change(folder / "verification.yaml", "completeness:", "completness:")

    (finding,) = told(folder)

    assert finding.startswith("verification.yaml:")
    assert "completness: unknown key; did you mean 'completeness'?" in finding


def test_a_threshold_that_cannot_be_is_a_mistake(folder: Path) -> None:
    (folder / "verification.yaml").write_text(
        "completeness: {value: 1.5, source: nobody}\n", encoding="utf-8"
    )

    (finding,) = told(folder)

    assert finding.startswith("verification.yaml:1: completeness.value: ")


def test_a_model_that_no_meter_has_is_read_too(folder: Path) -> None:
    change(folder / "meters" / "abb_b23_b24.yaml", "measures: electricity", "measures: electrcity")

    (finding,) = told(folder)

    assert finding.startswith("meters/abb_b23_b24.yaml:")
    assert "measures" in finding


def test_a_model_that_is_no_yaml_has_its_line(folder: Path) -> None:
    (folder / "meters" / "mine.yaml").write_text("maker: [\n", encoding="utf-8")

    (finding,) = told(folder)

    assert finding.startswith("meters/mine.yaml:")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("verfication.yaml", "nobody reads this file; did you mean 'verification.yaml'?"),
        ("limits.yml", "nobody reads this file; did you mean 'limits.yaml'?"),
        (
            "calendars/cn2027.yaml",
            (
                "nobody reads this file; "
                "calendars are cn.yaml, override.yaml, heating.yaml, terms.yaml"
            ),
        ),
        ("meters/mine.yml", "nobody reads this file; a model's file is 'mine.yaml'"),
    ],
)
def test_a_file_that_nobody_reads_though_it_looks_like_it_is_named(
    folder: Path, name: str, said: str
) -> None:
    (folder / name).write_text("a: 1\n", encoding="utf-8")

    assert told(folder) == [f"{name}: {said}"]


def test_settings_that_lie_beside_are_read_and_notes_are_left_alone(folder: Path) -> None:
    (folder / "collector.yaml").write_text("folder: data\n", encoding="utf-8")
    (folder / "notes.yaml").write_text("whatever: 1\n", encoding="utf-8")

    found = told(folder)

    assert found
    assert all(one.startswith("collector.yaml:") for one in found)


def test_a_gateway_box_that_has_no_numpy_can_check_it_all(folder: Path) -> None:
    program = (
        "import sys; sys.modules['numpy'] = None\n"
        "from pathlib import Path; from nenghao.configuration import check_configuration\n"
        f"found = check_configuration(Path({str(folder)!r}))\n"
        "print([one for one in found if not one.warning])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )

    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_command_tells_all_of_it_and_exits_1(folder: Path) -> None:
    (folder / "verification.yaml").write_text("late: {value: 2}\n", encoding="utf-8")
    (folder / "limits.yaml").write_text("typo: 1\n", encoding="utf-8")

    done = typed("fleet", "check", folder, "--json")

    assert done.code == 1
    files = {Path(one["file"]).name for one in done.document["findings"]}
    assert files == {"verification.yaml", "limits.yaml"}
