"""`python -m benchmarks NAME --data DIR`: one benchmark, its table on the terminal, its figures as JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from benchmarks import page
from benchmarks.origin import origin
from benchmarks.recordings import NoRecordings

MODULES = {
    "skab": "benchmarks.skab",
    "nab": "benchmarks.nab",
    "pronostia": "benchmarks.pronostia",
    "cwru": "benchmarks.cwru",
    "budget": "benchmarks.budget",
    "slow": "benchmarks.slow",
    "quantised": "benchmarks.quantised",
    "throughput": "benchmarks.throughput",
    "governor": "benchmarks.governor",
}


class Benchmark(Protocol):
    """What a module of this package is when it is named above."""

    HELP: str  # one line
    WALKED: str  # what is measured, with which settings

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add what only this benchmark asks; --data, --json and --out are there."""
        ...

    def run(self, arguments: argparse.Namespace) -> dict[str, Any]:
        """The figures. Raises NoRecordings when there is nothing to run on."""
        ...

    def table(self, result: dict[str, Any]) -> str:
        """The figures as Markdown, for the terminal and docs/benchmarks.md."""
        ...

    def plot(self, result: dict[str, Any], path: Path) -> None:
        """Draw them into an SVG. Raises ImportError without the extra `bench`."""
        ...


def main(argv: Sequence[str]) -> int:
    """0 on success, 2 when there is nothing to run on or the command is wrong."""
    if not argv or argv[0] in ("-h", "--help"):
        print(_overview())
        return 0 if argv else 2
    name = argv[0]
    if name == "page":
        page.write(_page_parser().parse_args(argv[1:]).out, {each: load(each) for each in _present()})
        return 0
    if name not in MODULES or (benchmark := _found(name)) is None:
        print(f"benchmarks: no benchmark {name}; there are {', '.join(_present())}", file=sys.stderr)
        return 2
    arguments = _parser(name, benchmark).parse_args(argv[1:])
    for place in (arguments.json and arguments.json.parent, arguments.out):
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)  # before all the work
    try:
        found = benchmark.run(arguments)
    except NoRecordings as error:
        print(f"benchmarks {name}: {error}", file=sys.stderr)
        return 2
    result = plain({"benchmark": name, **found, **origin(name, argv[1:])})
    print(f"{benchmark.WALKED}\n\n{benchmark.table(result)}")
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    if arguments.json is not None:
        arguments.json.write_text(text, "utf-8")
    if arguments.out is not None:
        (arguments.out / f"{name}.json").write_text(text, "utf-8")
        try:
            benchmark.plot(result, arguments.out / f"{name}.svg")
        except ImportError as error:
            print(
                f"benchmarks {name}: no plot: {error} (pip install 'tocsin[bench]' brings it)",
                file=sys.stderr,
            )
        page.write(arguments.out, {each: load(each) for each in _present()})
    return 0


def load(name: str) -> Benchmark:
    """The benchmark of this name."""
    return cast(Benchmark, import_module(MODULES[name]))


def plain(value: Any) -> Any:
    """The value in what JSON knows: numpy's numbers as Python's, None for what is not finite, text for keys."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _found(name: str) -> Benchmark | None:
    """None where the module is not there (yet)."""
    try:
        return load(name)
    except ModuleNotFoundError as error:
        if error.name != MODULES[name]:
            raise
        return None


def _present() -> list[str]:
    return [name for name in MODULES if _found(name) is not None]


def _overview() -> str:
    lines = ["usage: python -m benchmarks NAME [--data DIR] [--json FILE] [--out DIR] ...", ""]
    lines += [f"  {name:12} {load(name).HELP}" for name in _present()]
    lines.append(f"  {'page':12} Write docs/benchmarks.md anew from the figures beside it.")
    return "\n".join(lines)


def _parser(name: str, benchmark: Benchmark) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=benchmark.HELP)
    parser.add_argument(
        "--data",
        default=os.environ.get("TOCSIN_DATA"),
        help="folder of the recordings: of this benchmark's own, or of all (default: $TOCSIN_DATA)",
    )
    parser.add_argument("--json", type=Path, help="write the figures into this file")
    parser.add_argument(
        "--out", type=Path, help="write figures, plot and page there, as into docs/benchmarks"
    )
    benchmark.arguments(parser)
    return parser


def _page_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks page")
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks"))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
