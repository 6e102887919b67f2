"""docs/benchmarks.md, composed from the figures that the benchmarks left beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.__main__ import Benchmark

HEAD = """# Benchmarks

What ships, on recordings that are not part of the project and on the synthetic machine. Each section was written by the
command it names (`python -m benchmarks NAME --data DIR --out docs/benchmarks`), and says what was walked, with which
settings. A `Monitor` is that of `tocsin run`, and hears its rows in their order, none before its time. Controls never
look at the data. Point-adjusted F1 is not reported.
"""


def write(out: Path, benchmarks: Mapping[str, Benchmark]) -> None:
    """The page `<out>.md` from every `<out>/NAME.json` there is, in the order of `benchmarks`."""
    parts = [HEAD]
    for name, benchmark in benchmarks.items():
        file = out / f"{name}.json"
        if not file.is_file():
            continue
        result = json.loads(file.read_text("utf-8"))
        versions = ", ".join(f"{package} {version}" for package, version in result["versions"].items())
        commit = f", commit {result['commit']}" if result.get("commit") else ""
        parts.append(f"## {name}\n")
        parts.append(f"`{result['command']}`, {result['date']}{commit}. {result['machine']}; {versions}.\n")
        parts.append(f"{benchmark.WALKED}\n")
        parts.append(_table(benchmark, result) + "\n")
        if (out / f"{name}.svg").is_file():
            parts.append(f"![{benchmark.HELP}]({out.name}/{name}.svg)\n")
    out.with_suffix(".md").write_text("\n".join(parts), "utf-8")


def _table(benchmark: Benchmark, result: dict[str, Any]) -> str:
    try:
        return benchmark.table(result).strip()
    except KeyError as missing:
        return f"These figures are of an earlier form, without {missing}: run the command again."
