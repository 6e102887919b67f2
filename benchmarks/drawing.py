"""Bars with intervals, as SVG: what every benchmark draws. Needs the extra `bench`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COLOURS = {"ours": "#1f77b4", "control": "#999999", "peer": "#ff7f0e", "published": "#bcbd22"}


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a chart."""

    label: str
    value: float | None  # None is left out
    kind: str = "ours"  # key of COLOURS
    interval: Sequence[float] | None = None  # low, high


def from_zero(value: float | None) -> float | None:
    """As it is drawn: what lies below 0, at times far below, is nothing."""
    return None if value is None else max(0.0, value)


def bars(path: Path, panels: Sequence[tuple[str, Sequence[Bar]]], note: str = "") -> None:
    """Panels side by side, each with a title that names the figure and its bars from the top down. The same
    figures give the same bytes. Raises ImportError without matplotlib."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch

    shown = [(title, [bar for bar in every if bar.value is not None]) for title, every in panels]
    most = max(len(every) for _, every in shown)
    with matplotlib.rc_context({"svg.hashsalt": "tocsin", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = plt.subplots(
            1, len(shown), figsize=(4.6 * len(shown), 1.2 + 0.3 * most), squeeze=False, layout="constrained"
        )
        for axis, (title, every) in zip(axes[0], shown, strict=True):
            for row, bar in enumerate(every):
                assert bar.value is not None
                axis.barh(row, bar.value, color=COLOURS[bar.kind], height=0.7)
                if bar.interval is not None:
                    axis.plot(bar.interval, [row, row], color="black", linewidth=1)
                end = bar.value if bar.interval is None else max(bar.value, *bar.interval)
                axis.annotate(f"{bar.value:.3g}", (end, row), (3, 0), textcoords="offset points", va="center")
            axis.set_yticks(range(len(every)), [bar.label for bar in every])
            axis.set_title(title)
            axis.invert_yaxis()
            axis.margins(x=0.15)
            axis.spines[["top", "right"]].set_visible(False)
        kinds = [kind for kind in COLOURS if any(bar.kind == kind for _, every in shown for bar in every)]
        patches = [Patch(color=COLOURS[kind], label=kind) for kind in kinds]
        figure.legend(handles=patches, loc="outside lower center", ncols=len(kinds), title=note or None)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)
