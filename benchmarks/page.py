"""docs/benchmarks.md, composed from the figures that the benchmarks left beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.__main__ import Benchmark

HEAD = """# Benchmarks

The shipped detectors, walked through the very `Monitor` of `tocsin run`, one row after the other, at their defaults.
Each section was written by the command it names (`python -m benchmarks NAME --data DIR --out docs/benchmarks`), from
recordings that are not part of the project. Controls never look at the data. Point-adjusted F1 is not reported.
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
        parts.append(benchmark.table(result).strip() + "\n")
        if (out / f"{name}.svg").is_file():
            parts.append(f"![{benchmark.HELP}]({out.name}/{name}.svg)\n")
    out.with_suffix(".md").write_text("\n".join(parts), "utf-8")
