"""Operating states found in a lesson: few, clear, and such that a person can check them.

A channel splits the rows where its values leave a clear gap, and what it splits is split again, until nothing does: a
decision tree of thresholds. Clustering in the manner of k-means would find states in noise too, and asks how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.states import ALONE, NOISES, Candidate, Doubles, Labels, States
from models.window import Array

MOST = 6  # states
QUICKEST = 5  # rows in a state before it is believed
CLEAR = 1.5  # a gap is clear when it is so many times as wide as the values on either side are spread (q05 to q95)
IN_GAP = 0.01  # share of rows that may lie in a gap: those seen on the way from one side to the other
APART = 2  # smallest steps of a channel by which values must be spread at least, so that steps are no gaps
# Of the gap to the nearest state: how far a box reaches beyond its rows, and is left later.
MARGIN, LINGER = 0.25, 0.1
OUTER = 0.005  # quantile of a state's rows that its box begins at
RETURNS = 2  # changes to and fro before a channel that is not known to drive the machine may tell its states


def find(
    rows: Array,
    starts: Sequence[int],
    candidates: Iterable[Candidate],
    *,
    dwell: int,
    most: int = MOST,
    chosen: bool = False,
) -> States | None:
    """The states in a lesson `(n, columns)` with the starts of its stretches; None where there is only one.

    A state lasts `dwell` rows on average, and holds as many. Channels that drive the machine are looked at first; the
    others only when none of those tells states, and then only where the machine came back to a state, for a level
    that changed once may be a fault or a repair. An only state is given its box over the channels that a person named
    (`chosen`), or that drive the machine and were kept at one value.
    """
    candidates = tuple(candidates)
    if not candidates or not len(rows):
        return None
    table = rows[:, [candidate.column for candidate in candidates]].astype(np.float64)
    driving = [i for i, candidate in enumerate(candidates) if chosen or candidate.driving]
    others = [i for i in range(len(candidates)) if i not in driving]
    for columns, returns in ((driving, 1), (others, RETURNS)):
        tree = _Tree(table, starts, columns, dwell=dwell, most=most, returns=returns)
        tree.grow()
        if len(tree.leaves) > 1:
            if chosen:
                tree.gaps = {i: tree.gaps.get(i, []) for i in driving}
            return _boxes(table, tree, candidates, open_=columns is driving)
    if not chosen:
        driving = [i for i in driving if _kept(table[:, i])]
    if not driving:
        return None
    tree = _Tree(table, starts, driving, dwell=dwell, most=1, returns=1)
    tree.gaps = {i: [] for i in driving}
    return _boxes(table, tree, candidates, open_=True)


class _Tree:
    """Rows split by clear gaps of one column after the other, the clearest first."""

    def __init__(
        self,
        table: Doubles,
        starts: Sequence[int],
        columns: Sequence[int],
        *,
        dwell: int,
        most: int,
        returns: int,
    ) -> None:
        self._table, self._starts, self._columns = table, starts, columns
        self._dwell, self._most, self._returns = dwell, most, returns
        self.leaves = [np.arange(len(table))]  # rows of each
        self.gaps: dict[int, list[float]] = {}  # of each column that split something: how wide
        self._steps = {i: _step(table[:, i]) for i in columns}

    def grow(self) -> None:
        """Split until nothing can be split, or there are as many states as may be."""
        while len(self.leaves) < self._most:
            best: tuple[float, int, int, list[tuple[float, float]]] | None = None
            for number, leaf in enumerate(self.leaves):
                for column in self._columns:
                    found = self._split(leaf, column, self._most - len(self.leaves) + 1)
                    if found is not None and (best is None or found[0] > best[0]):
                        best = (found[0], number, column, found[1])
            if best is None:
                return
            _, number, column, gaps = best
            leaf = self.leaves.pop(number)
            self.leaves[number:number] = [leaf[part] for part in _parts(self._table[leaf, column], gaps)]
            self.gaps.setdefault(column, []).extend(b - a for a, b in gaps)

    def _split(self, leaf: Labels, column: int, most: int) -> tuple[float, list[tuple[float, float]]] | None:
        """How clear, and the gaps `(from, to)` in the order of values; None where there is no clear one."""
        values = self._table[leaf, column]
        least = 2.0 * APART * self._steps[column]
        widest = _widest_gaps(np.sort(values), self._dwell, most - 1)
        for count in range(1, len(widest) + 1):
            gaps = sorted(widest[:count])
            parts = _parts(values, gaps)
            if min(int(part.sum()) for part in parts) < max(self._dwell, 2 * IN_GAP * len(leaf)):
                continue
            spread = [
                max(float(np.subtract(*np.quantile(values[part], (0.95, 0.05)))), least / 2) for part in parts
            ]
            clear = min((b - a) / max(pair) for (a, b), pair in zip(gaps, pairwise(spread), strict=True))
            if clear >= CLEAR and self._lasts(leaf, parts):
                return clear, gaps
        return None

    def _lasts(self, leaf: Labels, parts: Sequence[NDArray[np.bool_]]) -> bool:
        """Whether the parts are stayed in, and come back to as often as it takes."""
        label = np.full(len(self._table), -1)
        for number, part in enumerate(parts):
            label[leaf[part]] = number
        known = label[label >= 0]
        changes = int(np.count_nonzero(np.diff(known)))
        return changes >= self._returns and len(known) >= self._dwell * (changes + 1)


def _kept(values: Doubles) -> bool:
    """Whether values stood at one but for their noise from row to row: they tell a point at which a machine was run."""
    spread = float(np.subtract(*np.quantile(values, (0.95, 0.05))))
    noise = float(np.diff(values).std()) if len(values) > 1 else 0.0
    return spread <= NOISES * noise + ALONE * abs(float(np.median(values)))


def _step(values: Doubles) -> float:
    """The smallest step between two values, 0 where there is none."""
    distinct = np.unique(values)
    return float(np.diff(distinct).min()) if len(distinct) > 1 else 0.0


def _widest_gaps(ordered: Doubles, least: int, most: int) -> list[tuple[float, float]]:
    """Up to `most` gaps that do not overlap, the widest first; each holds at most IN_GAP of the rows, and leaves at
    least `least` rows on either side of all."""
    loose = int(IN_GAP * len(ordered))
    wide = ordered[loose + 1 :] - ordered[: len(ordered) - loose - 1]
    usable = np.zeros(len(wide), bool)
    usable[max(0, least - 1) : max(0, len(ordered) - least - loose)] = True
    found: list[tuple[float, float]] = []
    for _ in range(most):
        at = int(np.argmax(np.where(usable, wide, -1.0))) if len(wide) else 0
        if not len(wide) or not usable[at] or wide[at] <= 0.0:
            break
        found.append((float(ordered[at]), float(ordered[at + loose + 1])))
        usable[max(0, at - loose - 1) : at + loose + 2] = False
    return found


def _parts(values: Doubles, gaps: Sequence[tuple[float, float]]) -> list[NDArray[np.bool_]]:
    """Rows below, between and above the gaps; those within a gap belong nowhere."""
    edges = [-np.inf, *(edge for gap in gaps for edge in gap), np.inf]
    return [(values >= a) & (values <= b) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _boxes(table: Doubles, tree: _Tree, candidates: Sequence[Candidate], *, open_: bool) -> States:
    """The leaves as boxes over the columns that split them, in the order of their values."""
    columns = sorted(tree.gaps)
    leaves = [table[leaf][:, columns] for leaf in tree.leaves]
    centre = np.array([np.median(leaf, axis=0) for leaf in leaves])
    order = np.lexsort(np.round(centre / np.maximum(_gap_widths(tree, columns, leaves), 1e-12)).T[::-1])
    leaves, centre = [leaves[i] for i in order], centre[order]
    low = np.array([np.quantile(leaf, OUTER, axis=0) for leaf in leaves])
    high = np.array([np.quantile(leaf, 1.0 - OUTER, axis=0) for leaf in leaves])
    gap = _gap_widths(tree, columns, leaves)
    low, high = low - MARGIN * gap, high + MARGIN * gap
    if not open_:  # what lies beyond all of them belongs to the outermost
        first = ~(high[None] < low[:, None]).any(axis=1)
        last = ~(low[None] > high[:, None]).any(axis=1)
        low[first], high[last] = -np.inf, np.inf
    channels = tuple(candidates[i] for i in columns)
    settle = (QUICKEST,) * len(leaves)
    return States(channels, low, high, centre, MARGIN * gap, LINGER * gap, settle, open_).rounded


def _gap_widths(tree: _Tree, columns: Sequence[int], leaves: Sequence[Doubles]) -> Doubles:
    """`(columns,)`: the narrowest gap of each; of an only state, what its rows and its value suggest."""
    widths = []
    for i, column in enumerate(columns):
        spread = max(float(np.ptp(np.quantile(leaf[:, i], (0.05, 0.95)))) for leaf in leaves)
        alone = max(spread, ALONE * max(abs(float(np.median(leaf[:, i]))) for leaf in leaves))
        widths.append(min(tree.gaps[column]) if tree.gaps[column] else alone / MARGIN)
    return np.array(widths)


def settling(states: States, rows: Array, labels: Labels, *, most: int) -> tuple[int, ...]:
    """Rows that the other columns take, after the state channels have come to a state, until they are where they stay:
    of each state the median over its entries, of the slowest column that settles within `most` rows. What takes
    longer, as a housing that warms, is part of the state. `labels` are of `entered`."""
    table = rows.astype(np.float64)
    change = np.flatnonzero(np.diff(labels)) + 1
    runs = [(a, b) for a, b in pairwise([0, *change.tolist(), len(labels)]) if a > 0 and b - a > most]
    found = []
    for state in range(states.count):
        mine = [(a, b) for a, b in runs if labels[a] == state]
        if not mine:
            found.append(0)
            continue
        late = np.concatenate([table[a + most : b] for a, b in mine])
        middle, spread = np.median(late, axis=0), 3.0 * late.std(axis=0)
        waits = []
        for a, _ in mine:
            far = np.abs(table[a : a + most] - middle) > spread
            last = np.where(far.any(axis=0), most - np.argmax(far[::-1], axis=0), 0)
            waits.append(np.where(last > 0.9 * most, 0, last))
        found.append(int(np.median(np.array(waits), axis=0).max()))
    known = [wait for wait in found if wait]
    usual = max(known) if known else most // 4
    return tuple(max(QUICKEST, wait or usual) for wait in found)
