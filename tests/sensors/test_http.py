"""Endpoints on this network: a real node_exporter, a server with pages of our choice, and a hostile one."""

from __future__ import annotations

import json
import math
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sensors import SensorError, check, create
from sensors.contract import PushedClock, SensorContract
from sensors.http import Http
from sensors.http_fetch import MOST_BYTES
from tests.real import need
from tests.sensors.http_peer import HOST, Hostile, Pages

AB = [{"name": "a"}, {"name": "b"}]
SOON_S = 20.0


def make(url: str, *channels: dict[str, object], **options: object) -> Http:
    sensor = create("plug", "http", {"url": url, "channels": list(channels) or AB, **options})
    assert isinstance(sensor, Http)
    sensor.clock = PushedClock()
    return sensor


def row(sensor: Http) -> list[float]:
    reading = sensor.read(SOON_S)
    assert reading is not None
    return [float(value) for value in reading.values[0]]


@pytest.fixture
def pages() -> Iterator[Pages]:
    with Pages() as pages:
        yield pages


@pytest.fixture(scope="module")
def hostile() -> Iterator[Hostile]:
    with Hostile() as hostile:
        yield hostile


def show(pages: Pages, document: object) -> None:
    body = document.encode() if isinstance(document, str) else json.dumps(document).encode()
    pages.page = (200, {}, body)


class TestContract(SensorContract):
    driver = "http"
    clock = PushedClock

    @pytest.fixture
    def options(self) -> Iterator[Mapping[str, object]]:
        self.pages = Pages(b'{"a": 1, "b": 2}')
        yield {"url": self.pages.url, "channels": AB}
        self.pages.stop()

    @pytest.fixture
    def nowhere(self) -> Mapping[str, object]:
        return {"url": f"http://{HOST}:1/", "channels": AB}

    def lose(self) -> None:
        self.pages.stop()

    def mend(self) -> None:
        self.pages = Pages(b'{"a": 1, "b": 2}', port=self.pages.port)


# Metrics.


@pytest.fixture(scope="module")
def node_exporter() -> Iterator[str]:
    program = need("prometheus-node-exporter")
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    words = [
        program,
        f"--web.listen-address={HOST}:{port}",
        "--log.level=error",
        "--collector.disable-defaults",
    ]
    process = subprocess.Popen([*words, "--collector.meminfo", "--collector.cpu"], stderr=subprocess.DEVNULL)
    until = time.monotonic() + SOON_S
    while time.monotonic() < until:
        try:
            socket.create_connection((HOST, port), 1.0).close()
            break
        except OSError:
            time.sleep(0.01)
    yield f"http://{HOST}:{port}/metrics"
    process.kill()
    process.wait()


def test_a_node_exporter_is_read(node_exporter: str) -> None:
    sensor = make(
        node_exporter,
        {"name": "memory", "unit": "GBy", "at": "node_memory_MemTotal_bytes", "scale": 1e-9},
        {
            "name": "idle",
            "unit": "%",
            "at": 'node_cpu_seconds_total{mode="idle", cpu="0"}',
            "per_s": True,
            "scale": 100,
        },
        {"name": "none", "at": "node_nothing"},
        form="prometheus",
    )
    with sensor:
        first = row(sensor)
        kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
        assert first == pytest.approx([1024e-9 * kilobytes, math.nan, math.nan], nan_ok=True)
        idle = row(sensor)[1]  # ten seconds of the pushed clock later, and a moment of the real one
        assert 0.0 <= idle < 100.0
    assert sensor.skipped == {"missing_values": 2}


def test_a_selector_that_fits_several_series_is_an_error_that_names_them(node_exporter: str) -> None:
    with make(node_exporter, {"name": "cpu", "at": "node_cpu_seconds_total"}, form="prometheus") as sensor:
        with pytest.raises(
            SensorError, match=r'cpu_seconds_total\{\} fits .*mode="idle".* and .*: say which by more labels'
        ):
            sensor.read(SOON_S)


def test_a_metric_may_say_when_it_was_measured(pages: Pages) -> None:
    with make(pages.url, {"name": "t"}, form="prometheus", max_age_s=60) as sensor:
        show(pages, "# TYPE t gauge\nt 21.5 1700000000250\n")
        reading = sensor.read(SOON_S)
        assert reading is not None
        assert reading.time == 1_700_000_000.25
        assert sensor.read(SOON_S) is None  # the same again
        show(pages, "t 21.5 1699999900000\n")
        assert sensor.read(SOON_S) is None  # older than a minute
        assert sensor.skipped == {"stale": 2}


# Documents.


def test_a_document_is_read_by_its_paths(pages: Pages) -> None:
    show(pages, {"meters": [{"power": "230.5", "is_valid": True}], "uptime": 7})
    channels: tuple[dict[str, object], ...] = (
        {"name": "power", "unit": "W", "at": "meters[0].power"},
        {"name": "valid", "at": "meters[0].is_valid"},
    )
    with make(pages.url + "?x=1", *channels) as sensor:
        assert row(sensor) == [230.5, 1.0]
    ((path, headers),) = pages.asked
    assert path == "/status?x=1"
    assert headers["Host"] == f"{HOST}:{pages.port}"
    assert headers["Accept"] == "application/json"


def test_a_document_that_says_its_time_is_a_sample_once(pages: Pages) -> None:
    with make(pages.url, {"name": "a"}, time="at", max_age_s=60) as sensor:
        for at, seconds in (("2023-11-14T22:13:20Z", 0.0), ("2023-11-14T22:13:25.5Z", 5.5)):
            show(pages, {"a": 1, "at": at})
            reading = sensor.read(SOON_S)
            assert reading is not None
            assert reading.time == 1_700_000_000.0 + seconds
            assert sensor.read(SOON_S) is None
        show(pages, {"a": 1, "at": "2023-11-14T22:10:00Z"})
        assert sensor.read(SOON_S) is None
        assert sensor.skipped == {"stale": 3}


def test_a_counter_is_its_growth_per_second(pages: Pages) -> None:
    grown: list[float] = []
    with make(pages.url, {"name": "a"}, {"name": "b", "per_s": True, "unit": "1/s"}, rate_hz=0.5) as sensor:
        for count in (100, 110, 104, 124):
            show(pages, {"a": 1, "b": count})
            grown.append(row(sensor)[1])
    assert grown == pytest.approx([math.nan, 5.0, math.nan, 10.0], nan_ok=True)
    assert sensor.skipped == {"counter_resets": 1}


def test_values_that_are_none_are_missing_and_counted(pages: Pages, caplog: pytest.LogCaptureFixture) -> None:
    channels: list[dict[str, object]] = [{"name": name} for name in "abcde"]
    show(pages, {"a": 1, "b": None, "c": "off", "d": 1e39})
    with make(pages.url, *channels, rate_hz=1) as sensor:
        assert row(sensor) == pytest.approx([1, *[math.nan] * 4], nan_ok=True)
    assert sensor.skipped == {"missing_values": 2, "not_a_number": 2}
    told = [record.getMessage() for record in caplog.records if "counted" in record.getMessage()]
    assert [words.partition("sensor ")[2].partition(": ")[2] for words in told] == [
        "nothing stands at b; counted as missing_values from now on",
        "c: 'off' is not a number; counted as not_a_number from now on",
    ]


# What is none.


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason", "words"),
    [
        (503, {}, b"", "status_503", "answers 503 Service Unavailable"),
        (404, {}, b"{}", "status_404", "answers 404 Not Found"),
        (200, {}, b"<html>", "unreadable_answers", "answers what is no JSON"),
        (200, {}, b"", "unreadable_answers", "answers what is no JSON"),
        (200, {}, b'{"a": NaN, "b": 1}', "unreadable_answers", "answers what is no JSON"),
        (200, {}, b"[" * 100_000, "unreadable_answers", "answers what is no JSON"),
        (200, {}, b"{}", "missing_values", "holds none of a, b"),
        (200, {}, b"x" * (MOST_BYTES + 1), "too_large_answers", "answers more than 4,194,304 bytes"),
    ],
)
def test_an_answer_without_figures_is_an_error_and_counted(
    pages: Pages, status: int, headers: dict[str, str], body: bytes, reason: str, words: str
) -> None:
    pages.page = (status, headers, body)
    with make(pages.url) as sensor:
        with pytest.raises(SensorError, match=rf"plug: {pages.url} {words}"):
            sensor.read(SOON_S)
        assert list(sensor.skipped) == [reason]
        show(pages, {"a": 1, "b": 2})
        assert row(sensor) == [1, 2]


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", b"\x00\xff\r\n\r\n"]
)
def test_an_answer_that_is_cut_off_or_no_http_is_counted(hostile: Hostile, answer: bytes) -> None:
    hostile.say(answer)
    with make(hostile.url) as sensor, pytest.raises(SensorError, match=r"answers what is (no HTTP|cut off)"):
        sensor.read(SOON_S)
    assert sensor.skipped == {"broken_answers": 1}


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: ", b"", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
def test_an_answer_that_trickles_ends_at_the_timeout(hostile: Hostile, head: bytes) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(head if head.endswith(b"Continue\r\n\r\n") else b"1")
            time.sleep(0.02)

    hostile.answer = trickle
    with make(hostile.url, timeout_s=0.3) as sensor:
        begun = time.monotonic()
        with pytest.raises(SensorError, match=r"no answer within 0\.3 s"):
            sensor.read(SOON_S)
        assert time.monotonic() - begun < 2.0
    assert sensor.skipped == {"time_outs": 1}


# Nothing leaves the premises.


def test_a_redirection_is_not_followed(pages: Pages) -> None:
    with Pages(b'{"a": 1, "b": 2}') as other:
        pages.page = (302, {"Location": other.url}, b"")
        with make(pages.url) as sensor:
            with pytest.raises(
                SensorError, match=f"answers 302 Found to '{other.url}': give the URL that is meant"
            ):
                sensor.read(SOON_S)
        assert other.asked == []
        assert sensor.skipped == {"status_302": 1}


@pytest.mark.parametrize(
    "page", [(200, {}, b"{}"), (503, {}, b""), (302, {"Location": "/?token=s3cret"}, b"")]
)
def test_a_query_is_not_told(pages: Pages, page: tuple[int, dict[str, str], bytes]) -> None:
    pages.page = page
    with make(f"{pages.url}?token=s3cret") as sensor:
        with pytest.raises(SensorError) as raised:
            sensor.read(SOON_S)
        pages.stop()
        with pytest.raises(SensorError, match="refused") as refused:
            sensor.read(SOON_S)
    assert pages.asked[0][0] == "/status?token=s3cret"
    told = f"{raised.value}{refused.value}"
    assert told.count(f"{pages.url}?...") == 2
    assert "s3cret" not in told


def test_no_proxy_is_asked(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{HOST}:1")
    show(pages, {"a": 1, "b": 2})
    with make(pages.url) as sensor:
        assert row(sensor) == [1, 2]


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8/",
        "http://[2001:4860:4860::8888]/",
        "http://[::ffff:8.8.8.8]/",
        "http://0.0.0.0/",
        "http://100.64.0.1/",
    ],
)
def test_an_address_elsewhere_is_refused_unless_it_is_allowed(url: str) -> None:
    (problem,) = check("http", {"url": url, "channels": AB})
    assert problem.path == "url"
    assert "nothing leaves the premises unless `allow` names its address" in problem.message
    allow = ["8.8.8.8", "0.0.0.0", "100.64.0.0/10", "2001:4860::/32"]
    assert check("http", {"url": url, "channels": AB, "allow": allow}) == []


def test_a_name_of_an_address_elsewhere_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(SensorError, match=r"plug: meter.example \(8.8.8.8\) is not of a private network"):
        make("http://meter.example/").open()


def test_https_believes_the_certificates_that_it_is_given(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={HOST} -addext subjectAltName=IP:{HOST}"
    openssl = [need("openssl"), *words.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(openssl, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with Pages(b'{"a": 1, "b": 2}', tls=tls) as pages:
        with make(pages.url, ca_file=str(certificate)) as sensor:
            assert row(sensor) == [1, 2]
        with make(pages.url) as sensor, pytest.raises(SensorError, match="certificate"):
            sensor.read(SOON_S)
        with pytest.raises(SensorError, match=r"key\.pem holds no certificates that can be read"):
            make(pages.url, ca_file=str(key)).open()


# Hostile answers.

BODIES = st.binary(max_size=200) | st.text(alphabet='{}[]":,ab0123456789.eE+-nulltruefaNI ', max_size=60).map(
    str.encode
)


@given(
    head=st.sampled_from(
        [
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
            b"HTTP/9.9 999 \xff\r\n",
            b"",
        ]
    ),
    body=BODIES,
    form=st.sampled_from(["json", "prometheus"]),
)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_answer_does_worse_than_being_counted(
    hostile: Hostile, head: bytes, body: bytes, form: str
) -> None:
    hostile.say(head + body)
    with make(hostile.url, form=form, timeout_s=5) as sensor:
        try:
            reading = sensor.read(SOON_S)
        except SensorError:
            assert sensor.skipped
            return
    assert sensor.skipped if reading is None else not np.isinf(reading.values).any()


# Options.


@pytest.mark.parametrize(
    ("options", "path", "words"),
    [
        ({"url": "192.168.1.2/metrics"}, "url", "is no http or https URL"),
        ({"url": "file:///etc/passwd"}, "url", "is no http or https URL"),
        ({"url": "http://a b/"}, "url", "holds a blank"),
        ({"url": "http://a/\r\nX: y"}, "url", "holds a blank"),
        ({"url": "http://me:secret@10.0.0.1/"}, "url", "a user or a password"),
        ({"url": "http://10.0.0.1:99999/"}, "url", "is no URL"),
        ({"url": "http://[::1/"}, "url", "is no URL"),
        ({"channels": []}, "channels", "is empty"),
        ({"channels": [{"name": "a", "at": "b..c"}]}, "channels[0].at", "write a path"),
        ({"form": "prometheus", "channels": [{"name": "a", "at": "up{job=}"}]}, "channels[0].at", "labels"),
        ({"form": "prometheus", "channels": [{"name": "a", "at": "up 1"}]}, "channels[0].at", "from ' 1' on"),
        ({"form": "prometheus", "time": "a"}, "time", "is for JSON"),
        ({"time": "a..b"}, "time", "write a path"),
        ({"allow": ["lan"]}, "allow[0]", "no address or network"),
    ],
)
def test_options_that_do_not_fit_are_told(options: dict[str, object], path: str, words: str) -> None:
    problems = check("http", {"url": "http://10.0.0.1/", "channels": AB, **options})
    assert [problem.path for problem in problems] == [path]
    assert words in problems[0].message
