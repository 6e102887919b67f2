"""Peers score each row, and higher where something is wrong; those of absent libraries are left out and named."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks.nab_files import Recording
from benchmarks.nab_peers import peers
from benchmarks.peers import MULTIVARIATE, SLOW, absent, timed
from benchmarks.scores.nab import PROFILES, File
from benchmarks.tables import markdown, shown, within

OWN = {"T²+Q", "windowed Gaussian"}


@pytest.mark.parametrize("name", sorted(MULTIVARIATE.keys() | SLOW.keys()))
def test_a_peer_scores_a_leap_higher_than_what_came_before(name: str) -> None:
    if name not in OWN:
        pytest.importorskip(name.split()[0].lower())
    peer = MULTIVARIATE.get(name) or SLOW[name]
    values = np.random.default_rng(6).standard_normal((400, 3 if name in MULTIVARIATE else 1))
    values[350:] += 20
    scores, seconds = timed(peer, values, 200)
    assert scores.shape == (400,)
    assert np.isfinite(scores).all()
    assert scores[350:355].max() > np.quantile(scores[250:350], 0.95)
    assert seconds > 0
    again, _ = timed(peer, values, 200)
    np.testing.assert_array_equal(scores, again)


def test_an_absent_library_is_said_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "river", None)
    monkeypatch.setitem(sys.modules, "river.anomaly", None)
    times, values = np.arange(0.0, 200 * 300, 300), np.random.default_rng(0).standard_normal(200)
    found = peers([Recording("a.csv", times, values, File(200, ((100, 120),)))], PROFILES)
    assert "river" in found["River HalfSpaceTrees"]["missing"]
    assert found["windowed Gaussian"]["standard"] >= 0
    assert found["windowed Gaussian"]["vus_pr"] > 0
    (_, said) = absent(found)
    assert "River HalfSpaceTrees" in said
    assert "pip install -c constraints.txt -e '.[bench]'" in said
    assert absent({"windowed Gaussian": found["windowed Gaussian"]}) == []


def test_tables_show_figures_to_three_digits() -> None:
    assert [shown(value) for value in (0.8529, 23.28, 100.0, 1889.4, 0, None, 7, 0.0, -1.39)] == [
        "0.853",
        "23.3",
        "100",
        "1,889",
        "0",
        "",
        "7",
        "0",
        "-1.39",
    ]
    assert markdown(["", "F1"], [["ours", 0.5]]) == "|  | F1 |\n| --- | --: |\n| ours | 0.5 |"
    assert within((0.7561, 0.9134)) == "0.756 to 0.913"
    assert within((21.1, 79.0), " %") == "21.1 to 79 %"
    assert within(None, " %") == "unknown"
