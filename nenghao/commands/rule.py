"""`nenghao rule`: check the rules of early warning, and play them back over what is stored."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from collector.alerting.played import Order
from collector.alerting.rule import Rule
from collector.alerting.rules.compile import compile_rule
from collector.alerting.rules.concern import Concern, concern
from collector.alerting.rules.describe import describe, describe_scope, describe_when
from collector.alerting.rules.document import RulesDocument
from collector.alerting.rules.problems import problems
from collector.alerting.subject import SubjectKind
from collector.editing.period import span_of
from documents.finding import DocumentInvalid
from documents.load import load_document
from nenghao.asking import Api, Json, Settings, usage
from nenghao.centre import Centre, centre
from nenghao.configuration import Alarming, read_alarming
from nenghao.progress import Bar
from nenghao.rule_view import say_played
from nenghao.say import FOUND, USAGE, say, say_error, say_findings, say_json, say_table

rule = typer.Typer(help="预警规则：检查、回测", no_args_is_help=True)

From = Annotated[str, typer.Option("--from", help="时刻、日期或月份，如 2026-10")]
To = Annotated[str | None, typer.Option("--to", help="首个不再计入的时刻；整日、整月可省略")]
Meters = Annotated[list[str] | None, typer.Option("--meter", help="可多次；省略：全部")]
Institutions = Annotated[list[str] | None, typer.Option("--institution", help="可多次")]

_COUNTED = {
    SubjectKind.METER: "块表",
    SubjectKind.BUILDING: "栋建筑",
    SubjectKind.INSTITUTION: "个单位",
    SubjectKind.GATEWAY: "台网关",
}

_FIRST_LOOK_S = 0.05
_LONGEST_LOOK_S = 1.0
_UNDER_WAY = ("waiting", "running")


@rule.command()
def check(
    folder: Annotated[Path, typer.Argument(help="the folder with rules/, fleet/")] = Path("config"),
    *,
    json: Json = False,
) -> None:
    """Check rules, budgets and colours of FOLDER; exit 1 if anything is wrong. Warnings pass."""
    if not folder.is_dir():
        say_error(f"{folder}: no such folder")
        raise typer.Exit(USAGE)
    read = read_alarming(folder)
    if json:
        say_json({"rules": [_told(one, read) for one in read.book.rules], **_findings(read)})
    else:
        _say(read)
    if any(not finding.warning for finding in read.findings):
        raise typer.Exit(FOUND)


@rule.command("test")
def back_test(  # noqa: PLR0913 - each is an option of the command line
    file: Annotated[Path, typer.Argument(help="a file of rules, as in config/rules")],
    *,
    start: From,
    end: To = None,
    meter: Meters = None,
    institution: Institutions = None,
    settings: Settings = None,
    api: Api = None,
    json: Json = False,
) -> None:
    """Play the rules of FILE back over what is stored: when would each have fired?

    Nothing is written, and nobody is told. Exit 0 whether anything would have fired or not, 1 if
    FILE has mistakes or it could not be played to its end.
    """
    rules = _rules(file)
    span = usage(span_of, start, end, assume_shanghai=True)
    order = Order(
        rules=rules,
        start_ms=span.start_ms,
        end_ms=span.end_ms,
        meters=frozenset(meter) if meter else None,
        institutions=frozenset(institution) if institution else None,
    )
    with centre(settings, api) as collector:
        run = collector.ask("POST", "/rules/test", json=msgspec.to_builtins(order))
        run = _ended(collector, run)
    if json:
        say_json(run)
    elif run["played"] is not None:
        say_played(run, rules)
    if run["error"]:
        say_error(f"回测失败：{run['error']}")
    if run["state"] != "done":
        raise typer.Exit(FOUND)


def _rules(file: Path) -> tuple[Rule, ...]:
    try:
        document = load_document(file, RulesDocument, problems)
    except DocumentInvalid as error:
        say_findings(error.findings)
        raise typer.Exit(FOUND) from error
    return tuple(one for spec in document.model.rules for one in compile_rule(spec))


def _ended(collector: Centre, run: dict[str, Any]) -> dict[str, Any]:
    """The run when it has ended; its progress is shown meanwhile."""
    pause_s = _FIRST_LOOK_S
    with Bar() as bar:
        total = None
        while run["state"] in _UNDER_WAY:
            if total != run["total"]:
                total = run["total"]
                bar.begin("回测", run["total"])
            bar.reach(run["done"])
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LONGEST_LOOK_S)
            run = collector.ask("GET", f"/rules/test/{run['number']}")
    return run


def _say(read: Alarming) -> None:
    if read.book.rules:
        say_table(
            ("规则", "级", "条件", "何处", "来源"),
            _rows(read),
            title="预警规则",
            texts=(2, 3, 4),
            spare=(4,),
        )
    if read.fleet is None:
        say("监测对象配置有误，规则未与之核对：请先运行 nenghao fleet check")
    say_findings(read.findings)
    if not read.findings:
        say(f"规则 {len(read.book.rules)} 条，配置无误 (no mistakes)")


def _rows(read: Alarming) -> Iterator[tuple[str, ...]]:
    before: tuple[str, str] = ("", "")  # levels of one matter say where and whence once
    for one in read.book.rules:
        when = describe_when(one.when)
        what = f"{one.title}：{describe(one)}" + (f"（{when}）" if when else "")
        where = "；".join(filter(None, (describe_scope(one.scope), _where(one, read))))
        shown = (where, one.source) if (one.group, one.source) != before else ("", "")
        before = one.group, one.source
        yield one.id, one.severity.colour, what, *shown


def _where(one: Rule, read: Alarming) -> str:
    found = _concern(one, read)
    if found is None:
        return ""
    if found.kind is SubjectKind.SYSTEM:
        return "采集中心"
    counted = f"{len(found.subjects)} {_COUNTED[found.kind]}"
    if found.kind is SubjectKind.INSTITUTION:
        return counted
    return f"{counted}，{len(found.institutions)} 个单位"


def _concern(one: Rule, read: Alarming) -> Concern | None:
    if read.fleet is None:
        return None
    budgeted = {budget.institution for budget in read.budgets.budgets}
    return concern(one, read.fleet, budgeted)


def _told(one: Rule, read: Alarming) -> dict[str, Any]:
    found = _concern(one, read)
    return {
        "id": one.id,
        "group": one.group,
        "severity": one.severity,
        "title": one.title,
        "condition": describe(one),
        "scope": describe_scope(one.scope),
        "when": describe_when(one.when),
        "source": one.source,
        "version": one.version,
        "kind": found and found.kind,
        "subjects": found and len(found.subjects),
        "meters": found and found.meters,
        "institutions": found and len(found.institutions),
    }


def _findings(read: Alarming) -> dict[str, Any]:
    return {"findings": list(read.findings), "fleet_is_right": read.fleet is not None}
