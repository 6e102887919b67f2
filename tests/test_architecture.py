"""Which room may know which, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("agent", "sensors", "models")
WORKSHOP = "benchmarks"  # knows them all, and none of them knows it
HEAVY = ("numpy", "onnxruntime", "paho", "msgspec", "yaml", "psutil", "sqlite3", "ssl", "sensors", "models")
# the composition root and what it composes with; the commands; the parts of reading a configuration
ROOT_MODULES = "cli daemon road assemble"
COMMANDS = "offline explaining recordings checking teaching bench measure weight status starter top demo.show"
SENSING = "record watch doctor doctor_rights doctor_broker doctor_peers"
READING = "cross_checks config_schema reference state_plans work"
CONFIG_READERS = {f"agent.{name}" for name in f"{ROOT_MODULES} {COMMANDS} {SENSING} {READING}".split()}
PURE = (
    "agent.account",
    "agent.alerts",
    "agent.evidence",
    "agent.regulator",
    "agent.governor",
    "agent.regulator",
    "agent.ladders",
    "agent.ids",
    "agent.judge",
    "agent.operating",
    "agent.signal",
    "agent.pipeline",
    "agent.monitor",
    "agent.messages",
    "agent.payloads",
    "agent.sentences",
    "agent.teller",
    "agent.witness",
)
CLOCK_THREADS = "time threading queue asyncio subprocess logging"
INPUT_OUTPUT = "os io shutil tempfile socket ssl select selectors sqlite3 paho yaml psutil"


@dataclass(frozen=True)
class Import:
    """One imported module: by whom, and whether when that one is imported, or only in a function of it."""

    by: str
    of: str
    lazy: bool
    line: int

    def __str__(self) -> str:
        return f"{self.by}:{self.line} imports {self.of}"


def test_sensors_know_neither_models_nor_agent() -> None:
    assert _imports("sensors", of=("models", "agent")) == []


def test_models_know_neither_sensors_nor_agent() -> None:
    assert _imports("models", of=("sensors", "agent")) == []


def test_no_room_knows_the_tests() -> None:
    assert _imports(*ROOMS, of=("tests",)) == []


def test_no_room_knows_the_benchmarks_and_they_know_no_tests() -> None:
    assert _imports(*ROOMS, of=(WORKSHOP,)) == []
    assert _imports(WORKSHOP, of=("tests",)) == []
    assert _imports(WORKSHOP, of=("agent.assemble",)) != []  # the real road is walked


def test_only_one_file_imports_onnxruntime() -> None:
    assert {found.by for found in _imports(*ROOMS, WORKSHOP, of=("onnxruntime",))} == {"models.session"}


def test_onnx_is_for_the_development_machine_only() -> None:
    assert {found.by.rpartition(".")[0] for found in _imports(*ROOMS, of=("onnx",))} <= {"models.build"}
    assert [f for f in _imports(*ROOMS, of=("models.build",)) if not f.by.startswith("models.build")] == []


@pytest.mark.parametrize("module", PURE)
def test_the_pure_part_of_the_road_has_no_clock_threads_or_io(module: str) -> None:
    assert _imports(module, of=tuple(f"{CLOCK_THREADS} {INPUT_OUTPUT}".split())) == []


def test_configuration_is_read_where_things_are_put_together_and_nowhere_else() -> None:
    readers = {found.by for found in _imports("agent", of=("agent.config", "agent.monitor_config"))}
    assert readers - CONFIG_READERS == {"agent.config"}


def test_the_road_runs_one_way() -> None:
    """cli -> daemon | offline -> pipeline -> alerts; daemon -> publisher -> outbox -> messages."""
    back = [
        *_imports("agent.alerts", of=("agent.pipeline", "agent.messages", "agent.daemon", "agent.offline")),
        *_imports("agent.pipeline", of=("agent.messages", "agent.outbox", "agent.publisher", "agent.daemon")),
        *_imports("agent.messages", of=("agent.outbox", "agent.publisher", "agent.daemon")),
        *_imports("agent.outbox", of=("agent.publisher", "agent.daemon", "agent.road")),
        *_imports("agent.publisher", of=("agent.daemon", "agent.road", "agent.reader", "agent.pipeline")),
        *_imports("agent.offline", of=("agent.daemon", "agent.publisher", "agent.outbox", "agent.road")),
        *(found for found in _imports("agent", of=("agent.cli",)) if found.by != "agent.__main__"),
    ]
    assert [str(found) for found in back] == []


def test_nobody_imports_in_a_circle() -> None:
    edges: dict[str, set[str]] = {}
    for found in _all():
        if not found.lazy and (target := _module(found.of)) is not None and target != found.by:
            edges.setdefault(found.by, set()).add(target)
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join((*above[above.index(module) :], module))
        if module not in done:
            for target in sorted(edges.get(module, ())):
                visit(target, (*above, module))
            done.add(module)

    for module in sorted(edges):
        visit(module, ())


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("agent.cli", HEAVY),
        ("sensors", ("onnxruntime", "psutil", "models", "agent")),
        ("sensors.registry", ("onnxruntime", "psutil", "models", "agent")),
        ("models", ("onnxruntime", "sensors", "agent")),
        ("agent.config", ("onnxruntime", "numpy", "paho", "sqlite3", "sensors", "models")),
    ],
)
def test_imports_are_cheap(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & {set(absent)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def _imports(*within: str, of: tuple[str, ...]) -> list[Import]:
    return [
        found
        for found in _all()
        if any(_is_in(found.by, room) for room in within) and any(_is_in(found.of, name) for name in of)
    ]


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


@cache
def _all() -> tuple[Import, ...]:
    return tuple(found for module, path in _files().items() for found in _read(module, path))


@cache
def _files() -> dict[str, Path]:
    files = {}
    for room in (*ROOMS, WORKSHOP):
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    assert {"agent.cli", "models.session", "sensors.base"} <= set(files)
    return files


def _module(name: str) -> str | None:
    """The file of ours that a dotted name means: itself, or the module it is a name in."""
    files = _files()
    return name if name in files else next((n for n in [name.rpartition(".")[0]] if n in files), None)


def _read(module: str, path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text("utf-8"), str(path))

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                for statement in child.orelse:
                    yield from walk(statement, lazy)
            elif isinstance(child, ast.Import):
                yield from (Import(module, name.name, lazy, child.lineno) for name in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: name the package: no relative imports"
                for name in child.names:  # `from agent import messages` means agent.messages
                    whole = f"{child.module}.{name.name}"
                    yield Import(
                        module, whole if whole in _files() else str(child.module), lazy, child.lineno
                    )
            else:
                yield from walk(child, inside)

    yield from walk(tree, False)
