"""`nenghao fleet`: check the configuration, cut a gateway's part out of it."""

from pathlib import Path
from typing import Annotated

import typer

from nenghao.configuration import check_configuration
from nenghao.district import cuts_of
from nenghao.say import FOUND, USAGE, say, say_error, say_findings, say_json

fleet = typer.Typer(help="能耗监测对象：检查配置、切出网关的部分", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
Config = Annotated[Path, typer.Option("--config", help="the folder with fleet/ and meters/")]


@fleet.command()
def check(folder: Path, *, json: Json = False) -> None:
    """Check every configuration file under FOLDER; all mistakes at once, each with its line."""
    findings = check_configuration(folder)
    mistakes = any(not finding.warning for finding in findings)
    if json:
        say_json({"findings": list(findings)})
    else:
        say_findings(findings)
        if not mistakes:
            say(f"{folder}: 配置无误 (no mistakes)")
    if mistakes:
        raise typer.Exit(FOUND)


@fleet.command()
def cut(
    gateway: str,
    *,
    config: Config = Path("config"),
    output: Annotated[Path | None, typer.Option("--output", "-o")] = None,
    json: Json = False,
) -> None:
    """Write GATEWAY's own part of the fleet: one file, to be copied to its box."""
    cuts = cuts_of(config)
    if gateway not in cuts:
        say_error(f"no gateway {gateway!r} in {config}; there are: {', '.join(sorted(cuts))}")
        raise typer.Exit(USAGE)
    if output is None or json:
        say_json(cuts[gateway])
    if output is not None:
        output.write_text(to_text(cuts[gateway]), encoding="utf-8")
        if not json:
            say(f"{gateway}: 已写入 {output} (digest {cuts[gateway]['digest']})")


def to_text(content: dict[str, object]) -> str:
    """A cut as a file that a person can read."""
    from json import dumps  # noqa: PLC0415 - the option above is called json

    return dumps(content, ensure_ascii=False, indent=1) + "\n"
