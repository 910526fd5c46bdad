"""The runbook has a section for each alert, and every command in it and in the page of upgrades is one."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from services.cli.main import app
from tests.support.alert_rules import alerts

RUNBOOK = Path(__file__).parents[3] / "deploy/docs/runbook.md"
UPGRADES = RUNBOOK.with_name("upgrades.md")
_COMMAND = re.compile(r"(?:^|`)(tidemark [^`|>\n]+)", re.MULTILINE)


def commands() -> Iterator[str]:
    for page in (RUNBOOK, UPGRADES):
        for found in _COMMAND.findall(page.read_text()):
            yield found.partition("#")[0].strip()


@pytest.mark.parametrize("alert", alerts())
def test_an_alert_points_to_its_section(alert: str) -> None:
    assert alerts()[alert]["annotations"]["runbook"] == f"deploy/docs/runbook.md#{alert.lower()}"
    assert f"## {alert}\n" in RUNBOOK.read_text()


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_a_command_exists_with_its_options(command: str) -> None:
    words = [word for word in shlex.split(command)[1:] if word not in ("ID", "FILE", "F")]
    current: Any = typer.main.get_command(app)
    while words and hasattr(current, "commands") and words[0] in current.commands:
        current = current.commands[words.pop(0)]
    assert not hasattr(current, "commands") or words[:1] in (["--help"], ["--version"]), command
    known = {option for parameter in current.params for option in parameter.opts} | {"--help", "--version"}
    assert {word for word in words if word.startswith("--")} <= known, command
