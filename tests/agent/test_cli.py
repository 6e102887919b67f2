"""The commands as a person meets them: parsed, helped, documented, quick to start, quiet when cut off."""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

from agent.cli import EXAMPLES, main, parser
from agent.config_schema import config_schema
from agent.reference import EXAMPLE
from tests.agent.recordings import step, write_csv

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "commands.md"
COMMANDS = {"demo", "run", "check", "replay", "learn", "explain", "status", "top", "bench", "init", "schema"}
COMMANDS |= {"sensors", "watch", "record", "doctor"}


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, from argparse itself."""
    found = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    (action,) = found
    return dict(action.choices)


def options() -> Iterator[tuple[str, argparse.Action]]:
    for name, command in commands().items():
        for action in command._actions:
            if not isinstance(action, argparse._HelpAction):
                yield name, action


def section(name: str) -> str:
    """What the page says about a command."""
    found = re.search(rf"^## tocsin {name}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None, f"docs/commands.md has no section about {name}"
    return found.group(1)


def test_the_commands_are_those_of_the_design() -> None:
    assert set(commands()) == COMMANDS == set(EXAMPLES) - {""}


def test_every_command_and_option_is_documented() -> None:
    for name, action in options():
        about = section(name)
        words = action.option_strings or [str(action.metavar)]
        for word in words:
            assert re.search(rf"`[^`]*(?<![\w-]){re.escape(word)}(?![\w-])", about), f"tocsin {name}: {word}"


def test_no_option_is_documented_that_does_not_exist() -> None:
    known: dict[str, set[str]] = {name: {"--help"} for name in COMMANDS}
    for name, action in options():
        known[name].update(action.option_strings)
    for name in COMMANDS:
        rows = [row for row in section(name).splitlines() if row.startswith("| `-")]
        told = set(re.findall(r"(?<![\w-])--[a-z]+", "\n".join(row.split("|")[1] for row in rows)))
        assert told <= known[name], name


def test_every_option_has_a_help_text() -> None:
    for name, action in options():
        assert action.help, f"tocsin {name}: {action.dest}"


def test_every_example_can_be_parsed() -> None:
    text = (
        "\n".join(EXAMPLES.values())
        + "\n"
        + "\n".join(re.findall(r"```(?:sh)?\n(.*?)```", PAGE.read_text(), re.DOTALL))
    )
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("tocsin ")]
    assert len(lines) > 25
    for example in lines:
        words = shlex.split(re.split(r"\s{2,}|\s[|>#]\s?", example)[0], comments=True)[1:]
        parser().parse_args(words)


@pytest.mark.parametrize("name", ["", *sorted(COMMANDS)])
def test_help_fits_a_terminal_and_shows_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*([name] if name else []), "--help"]) == 0
    out = capsys.readouterr().out
    assert f"tocsin {name}".strip() in out
    assert "examples:" in out
    assert max(len(line) for line in out.splitlines()) <= 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["repaly"], "no command repaly: did you mean replay?"),
        (["xyzzy"], "no command xyzzy"),
        (["replay", "--chunk", "0"], "'0' is not a number of rows"),
        (["bench", "--seconds", "-1"], "'-1' is not a number of seconds"),
        (["run", "--what"], "unrecognized arguments: --what"),
        (["schema", "evnt"], '"evnt" is not a schema: did you mean event?'),
        ([], "commands:"),
    ],
)
def test_a_slip_of_the_pen_is_met_with_a_hint(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert words in said.err


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"tocsin \d+\.\d+.*\n", capsys.readouterr().out)


def test_schemas_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    names = capsys.readouterr().out.split()
    assert {"event", "config"} <= set(names)
    for name in names:
        assert main(["schema", name]) == 0
        jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


def test_the_schema_of_the_configuration_accepts_the_example_and_refuses_a_slip() -> None:
    example = yaml.safe_load(EXAMPLE)
    jsonschema.validate(example, config_schema())
    example["monitors"]["pump"]["widnow"] = "20 rows"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(example, config_schema())


def test_importing_the_commands_imports_nothing_heavy() -> None:
    heavy = ("numpy", "msgspec", "yaml", "onnxruntime", "paho", "psutil", "logging")
    code = f"import sys, agent.cli; print([m for m in {heavy} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True).stdout
        == b"[]\n"
    )


def test_help_comes_at_once() -> None:
    """100 ms is the budget, the start of Python included: of CPU time, so that a busy machine does not matter."""
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "agent", "--help"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.1


def test_python_m_agent_is_the_same_command(tmp_path: Path) -> None:
    write_csv(tmp_path / "pump.csv", *step())
    command = [sys.executable, "-m", "agent", "replay", str(tmp_path / "pump.csv")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert json.loads(done.stdout.splitlines()[0])["kind"] == "raised"
    assert b"900 rows" in done.stderr
    gone = subprocess.run([*command[:-1], "gone.csv"], cwd=ROOT, capture_output=True, check=False)
    assert gone.returncode == 2
    assert gone.stderr == b"gone.csv: no such file\n"


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    times, values = step(rows=900)
    values[600:, 0] += (times[600:] % 60 < 30) * 50  # alert upon alert
    write_csv(tmp_path / "pump.csv", times, values)
    command = [sys.executable, "-m", "agent", "schema", "event"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        process.wait()
    assert said == b""
    assert process.returncode == 141


def test_ctrl_c_ends_a_command_quietly(tmp_path: Path) -> None:
    (tmp_path / "tocsin.yaml").write_text(
        "state_dir: state\nsensors: {board: {driver: host}}\nmonitors: {board: {sensor: board}}\n"
    )
    command = [sys.executable, "-m", "agent", "learn", "-c", str(tmp_path / "tocsin.yaml")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert any(b"listening to board" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        process.wait()
    assert process.returncode == 130
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (["check", "-c", "."], 2, b"Is a directory"),
        (["replay", "pump.csv", "--monitor", "pump"], 2, b"name it with -c"),
        (["schema", "event"], 1, b"cannot write the result: No space left on device"),
    ],
)
def test_what_cannot_be_done_is_said_without_a_traceback(
    tmp_path: Path, command: list[str], code: int, words: bytes
) -> None:
    (tmp_path / "pump.csv").write_text("time,a\n0,1\n1,2\n")
    with open("/dev/full" if code == 1 else os.devnull, "wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", "agent", *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert b"Traceback" not in done.stderr
