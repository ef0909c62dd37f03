"""`nenghao rule`: check the rules of early warning."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from collector.alerting.rule import Rule
from collector.alerting.rules.concern import Concern, concern
from collector.alerting.rules.describe import describe, describe_scope, describe_when
from collector.alerting.subject import SubjectKind
from nenghao.asking import Json
from nenghao.configuration import Alarming, read_alarming
from nenghao.say import FOUND, USAGE, say, say_error, say_findings, say_json, say_table

rule = typer.Typer(help="预警规则：检查", no_args_is_help=True)

_COUNTED = {
    SubjectKind.METER: "块表",
    SubjectKind.BUILDING: "栋建筑",
    SubjectKind.INSTITUTION: "个单位",
    SubjectKind.GATEWAY: "台网关",
}


@rule.callback()
def _group() -> None:
    """Keep `check` a command of its own while it is the only one."""


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
