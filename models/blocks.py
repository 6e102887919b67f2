"""A bank of heads behind one bound graph: windows on the last axis, scored in blocks of a fixed number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.detector import Job, LearningError
from models.session import Bound, aligned, open_graph

COLUMNS = 16  # windows scored per call: a fixed number, so that vector code never meets a remainder


class Weighted(Protocol):
    """A head whose graph takes its learned arrays as inputs."""

    seat: int

    @property
    def weights(self) -> Mapping[str, NDArray[Any]]: ...


class BlockBank:
    """Heads of one shape behind one bound session. Every input of a job is `(n, rows)` and goes to the graph as
    `[heads, rows, COLUMNS]`; every output is `[heads, 1, COLUMNS]`, and `raw` has them in their order."""

    def __init__(
        self,
        graph: str,
        inputs: Mapping[str, int],
        outputs: Sequence[str],
        constants: Mapping[str, NDArray[np.float32]],
    ) -> None:
        """`inputs` of the graph that a job brings, in its order, with their rows; `constants` are the same for every
        head; all other inputs are learned arrays."""
        self._graph, self._inputs, self._outputs = graph, dict(inputs), tuple(outputs)
        self._constants = dict(constants)
        self._heads: list[Weighted] = []
        self._arrays: dict[str, NDArray[Any]] = {}  # what is bound to the graph's inputs
        self._learned: list[str] = []  # those of them that heads bring
        self._bound: Bound | None = None

    def seat(self, head: Weighted) -> int:
        """Take a head in, or take over the weights of one that is armed anew."""
        if head in self._heads:
            number = self._heads.index(head)
        else:
            number = len(self._heads)
            self._heads.append(head)
        self._bound = None
        return number

    def renew(self, head: Weighted) -> None:
        """Take over the weights of a seated head as they are now, in place."""
        if self._bound is not None:
            for name in self._learned:
                self._arrays[name][head.seat] = head.weights[name]

    def score(self, jobs: Sequence[Job]) -> None:
        """Fill in `raw` of every job: all of a block in one call."""
        if self._bound is None:
            self._bind()
        assert self._bound is not None
        longest = 0
        for job in jobs:
            longest = max(longest, len(job.times))
        if longest <= COLUMNS:
            for job in jobs:
                seat, count = job.head.seat, len(job.times)
                for block, rows in zip(self._blocks, job.inputs, strict=True):
                    block[seat, :, :count] = rows.T
            self._bound.run()
            for job in jobs:
                job.raw = self._scores[:, job.head.seat, 0, : len(job.times)]  # good until the next call
            return
        for job in jobs:
            job.raw = np.empty((len(self._outputs), len(job.times)), np.float32)
        for start in range(0, longest, COLUMNS):
            piece = slice(start, start + COLUMNS)
            for job in jobs:
                for block, rows in zip(self._blocks, job.inputs, strict=True):
                    some = rows[piece]
                    block[job.head.seat, :, : len(some)] = some.T
            self._bound.run()
            for job in jobs:
                part = job.raw[:, piece]
                part[:] = self._scores[:, job.head.seat, 0, : part.shape[1]]

    def _bind(self) -> None:
        heads = len(self._heads)
        self._arrays = arrays = {name: aligned(heads, rows, COLUMNS) for name, rows in self._inputs.items()}
        self._learned = []
        self._blocks = list(arrays.values())
        session = open_graph(self._graph)
        for name in (node.name for node in session.get_inputs()):
            if name in self._constants:
                arrays[name] = aligned(heads, *self._constants[name].shape)
                arrays[name][:] = self._constants[name]
            elif name not in arrays:
                self._learned.append(name)
                arrays[name] = aligned(heads, *self._heads[0].weights[name].shape)
                for seat, head in enumerate(self._heads):
                    arrays[name][seat] = head.weights[name]
        self._scores = aligned(len(self._outputs), heads, 1, COLUMNS)
        self._bound = Bound(session, arrays, dict(zip(self._outputs, self._scores, strict=True)))


def check_arrays(arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raises LearningError for a learned array that is missing, of another shape, or not all numbers."""
    for name, shape in expected.items():
        if name not in arrays or arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            found = arrays[name].shape if name in arrays else "nothing"
            raise LearningError(f"learned array {name}: expected finite {shape}, found {found}")
