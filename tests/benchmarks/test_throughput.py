"""The throughput benchmark: every detector is measured, and the figures are of the same work."""

from __future__ import annotations

import argparse
import json

import pytest

from benchmarks import slow_channels, throughput
from benchmarks.throughput import CASES, NETDATA, Case, best, measure


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.detector)
def test_every_detector_is_measured_on_the_road_and_bare(case: Case) -> None:
    found = measure(case, 2, 0.01)
    assert found["us_live"] > 0
    assert found["ratio"] == pytest.approx(found["us_live"] / found["us_bare"])
    assert found["us_wide"] < found["us_live"] * 1.5
    assert (found["us_features"] is not None) == (case.kind == "vibration")


def test_slow_channels_are_counted_each() -> None:
    found = slow_channels.weigh(2, 3)
    assert 0 < found["core_share_best"] <= found["core_share"] < 1
    assert found["us_per_channel"] == pytest.approx(found["core_share"] / 6 * 1e6)


def test_the_table_has_our_figures_and_those_of_others() -> None:
    parser = argparse.ArgumentParser()
    throughput.arguments(parser)
    one = measure(CASES[0], 2, 0.01)
    slow = {"channels": 6, "budget": slow_channels.BUDGET, "2 x 3": slow_channels.weigh(2, 3)}
    peers = {"River HalfSpaceTrees": {"us_1_channels": 80.0, "us_8_channels": 120.0}}
    result = {"monitors": 2, "detectors": {"mahalanobis": one}, "slow": slow, "peers": peers}
    told = throughput.table(json.loads(json.dumps(result)))
    for words in (
        "`mahalanobis` on 8",
        "`level`, 2 x 3",
        "River HalfSpaceTrees",
        NETDATA["source"],
        "2 to 4",
    ):
        assert str(words) in told


def test_the_best_of_passes_counts() -> None:
    calls = {"a": 0, "b": 0}

    def call(name: str) -> None:
        calls[name] += 1
        sum(range(1000))

    found = best({"a": lambda: call("a"), "b": lambda: call("b")}, 0.01)
    assert min(calls.values()) > 10
    assert all(0 < us < 1e5 for us in found.values())
