"""OPC UA, heard from asyncua's own server in a process of its own."""

from __future__ import annotations

import importlib.util
import math
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors import SensorError, check, create
from sensors.contract import SensorContract, held
from sensors.opcua import Opcua
from tests.agent.brokers import HOST, babbling, free_port, until
from tests.agent.brokers import Server as Listener
from tests.real import need, require
from tests.sensors.opcua_server import NAMESPACE, Server
from tests.sensors.rows import Written, becomes, row, until_error

FLOW = {"name": "flow", "node": f"nsu={NAMESPACE};s=Flow", "unit": "m3/s"}
SPEED = {"name": "speed", "node": f"nsu={NAMESPACE};s=Speed"}
RATE_HZ = 20.0
BAD, UNCERTAIN, GOOD_OVERFLOW = 0x80AB0000, 0x40900000, 0x00000480  # OPC UA part 4, 7.39


@pytest.fixture(autouse=True)
def _asyncua_is_there() -> None:
    require(importlib.util.find_spec("asyncua") is not None, "asyncua is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


class TestOpcua(SensorContract):
    driver = "opcua"
    peer: Server

    @pytest.fixture
    def options(self, server: Server) -> Mapping[str, object]:
        type(self).peer = server
        return {"url": server.url, "nodes": [FLOW], "rate_hz": RATE_HZ}

    @pytest.fixture
    def nowhere(self) -> Mapping[str, object]:
        return {"url": f"opc.tcp://{HOST}:{free_port()}", "nodes": [FLOW]}

    def lose(self) -> None:
        self.peer.kill()

    def mend(self) -> None:
        self.peer.start()


def sensor_of(server: Server, *nodes: dict[str, Any], **options: object) -> Opcua:
    sensor = create("plc", "opcua", {"url": server.url, "nodes": list(nodes), "rate_hz": RATE_HZ, **options})
    assert isinstance(sensor, Opcua)
    return sensor


def test_values_of_every_kind_of_number_are_heard(server: Server) -> None:
    runs, first = ({"name": name, "node": f"ns=2;s={name}"} for name in ("Runs", "List"))
    with sensor_of(server, FLOW, {**SPEED, "scale": 0.5, "offset": 1.0}, runs, first) as sensor:
        server.set("Flow", 1.5)
        server.set("Speed", 100)
        becomes(sensor, 1.5, 51.0, 1.0, math.nan)
        server.set("Flow", 2.5)
        server.set("Runs", False)
        becomes(sensor, 2.5, 51.0, 0.0, math.nan)
        assert sensor.skipped["not_a_number"] == 1  # the list, which came once


def test_a_value_that_does_not_change_stands_as_long_as_the_server_does(server: Server) -> None:
    server.set("Flow", 3.5, time=time.time() - 5000)
    with sensor_of(server, FLOW) as sensor:
        becomes(sensor, 3.5)
        assert all(row(sensor) == [3.5] for _ in range(10))
    with sensor_of(server, {**FLOW, "stale_after_s": 4000}) as sensor:
        assert all(math.isnan(row(sensor)[0]) for _ in range(10))
        assert sensor.skipped["stale"] > 0


@pytest.mark.parametrize(
    ("status", "reason"), [(BAD, "bad_quality"), (UNCERTAIN, "uncertain_quality")], ids=["bad", "uncertain"]
)
def test_a_value_that_is_not_good_is_missing_and_counted(server: Server, status: int, reason: str) -> None:
    server.set("Flow", 1.0)
    with sensor_of(server, FLOW) as sensor:
        becomes(sensor, 1.0)
        server.set("Flow", 2.0, status=status)
        becomes(sensor, math.nan)
        assert sensor.skipped[reason] == 1
        server.set("Flow", 3.0)
        becomes(sensor, 3.0)


def test_a_value_out_of_range_or_null_is_missing_and_counted(server: Server) -> None:
    server.set("Flow", 1.0)
    with sensor_of(server, {**FLOW, "lowest": 0.0, "highest": 10.0}) as sensor:
        becomes(sensor, 1.0)
        server.set("Flow", 11.0)
        becomes(sensor, math.nan)
        server.set("Flow", 2.0)
        becomes(sensor, 2.0)
        server.set("Flow", -1.0)
        becomes(sensor, math.nan)
        assert sensor.skipped["out_of_range"] == 2


def test_values_have_their_sources_time_where_a_delay_waits_for_them(server: Server) -> None:
    server.set("Flow", 0.0)
    with sensor_of(server, FLOW, delay_s=0.6, publish_s=0.3) as sensor:
        while math.isnan(row(sensor)[0]):
            pass
        changed = time.time()
        server.set("Flow", 1.0, time=changed)
        readings = [sensor.read(5.0) for _ in range(30)]
    times = [reading.time for reading in readings if reading is not None and reading.values[0, 0] == 1.0]
    # the first sample from the change on, though the server sends every 0.3 s only
    assert 0.0 <= times[0] - changed <= 1.1 / RATE_HZ


def test_every_change_is_a_sample_or_counted(server: Server) -> None:
    sent = 200
    server.set("Speed", -1)
    with sensor_of(server, SPEED, publish_s=0.1) as sensor:
        becomes(sensor, -1.0)
        heard = set[float]()
        for i in range(sent):
            server.set("Speed", i)
            if i % 3 == 0:
                heard |= set(row(sensor))
        while sent - 1 not in heard:
            heard |= set(row(sensor))
    assert len(heard - {-1.0}) + sensor.skipped["superseded"] == sent


def test_a_server_killed_is_an_error_and_its_restart_brings_values_again() -> None:
    with Server() as server, sensor_of(server, FLOW) as sensor:
        becomes(sensor, 1.5)
        server.kill()
        with pytest.raises(SensorError, match=rf"plc: {server.url}: the server is gone"):
            until_error(sensor)
        sensor.close()
        with pytest.raises(SensorError, match="nothing listens there"):
            sensor.open()
        sensor.close()
        server.start()
        sensor.open()
        becomes(sensor, 1.5)


def test_a_server_that_hangs_is_noticed_and_left() -> None:
    before = held()
    with Server() as server:
        with sensor_of(server, FLOW) as sensor:
            becomes(sensor, 1.5)
            server.signal(signal.SIGSTOP)
            with pytest.raises(SensorError, match="the server is gone"):
                until_error(sensor)
        server.signal(signal.SIGCONT)
        with sensor_of(server, FLOW) as sensor:
            becomes(sensor, 1.5)
            server.signal(signal.SIGSTOP)
            began = time.monotonic()
        assert time.monotonic() - began < 4.0
    until(lambda: held() <= before, "sockets and threads are let go")


def test_nodes_that_are_not_there_are_named(server: Server) -> None:
    nodes: tuple[dict[str, object], ...] = (
        {"name": "a", "node": "ns=2;s=Nope"},
        {"name": "b", "node": "ns=2;i=77"},
    )
    with pytest.raises(
        SensorError, match="refuses ns=2;s=Nope: BadNodeIdUnknown, ns=2;i=77: BadNodeIdUnknown"
    ):
        sensor_of(server, *nodes).open()
    with pytest.raises(SensorError, match=rf"no namespace urn:x, only .*{NAMESPACE}"):
        sensor_of(server, {"name": "a", "node": "nsu=urn:x;s=Flow"}).open()
    with pytest.raises(SensorError, match="ns=2;i=x: is not the id of a node"):
        sensor_of(server, {"name": "a", "node": "ns=2;i=x"}).open()


@pytest.mark.parametrize("seed", range(5))
def test_what_is_no_server_is_an_error(seed: int) -> None:
    with Listener(babbling(seed)) as listener:
        sensor = create("plc", "opcua", {"url": f"opc.tcp://{HOST}:{listener.port}", "nodes": [FLOW]})
        with pytest.raises(SensorError, match=f"plc: opc.tcp://{HOST}:{listener.port}: "):
            sensor.open()
        sensor.close()


# Who is who.


class Papers:
    """Certificates that are made out to applications, as OPC UA wants them."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._openssl = folder, need("openssl")

    def issue(self, name: str, *extensions: str) -> tuple[Path, Path]:
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key.pem"
        given = extensions or (
            f"subjectAltName=URI:urn:{name},DNS:localhost",
            "keyUsage=digitalSignature,nonRepudiation,keyEncipherment,dataEncipherment",
            "extendedKeyUsage=clientAuth,serverAuth",
        )
        command = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", f"/CN={name}"]
        for extension in given:
            command += ["-addext", extension]
        command += ["-keyout", str(key), "-out", str(certificate)]
        subprocess.run([self._openssl, *command], check=True, capture_output=True)
        return certificate, key


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def secure(papers: Papers) -> Iterator[tuple[Server, dict[str, object]]]:
    """A server that speaks Basic256Sha256 alone, with one user; and options with which it is reached."""
    certificate, key = papers.issue("server")
    ours, our_key = papers.issue("tocsin")
    policies = ["Basic256Sha256_SignAndEncrypt", "Basic256Sha256_Sign"]
    options: dict[str, object] = {
        "security": "Basic256Sha256",
        "server_cert_file": str(certificate),
        "cert_file": str(ours),
        "key_file": str(our_key),
        "username": "anna",
        "password_env": "PLC_WORD",
    }
    more = ["--cert", str(certificate), "--key", str(key), "--user", "anna:secret", "--policy", *policies]
    with Server(*more) as server:
        yield server, options


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
def test_messages_are_signed_and_encrypted(
    secure: tuple[Server, dict[str, object]], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, options = secure
    monkeypatch.setenv("PLC_WORD", "secret")
    before = held()
    with sensor_of(server, FLOW, **options, mode=mode) as sensor:
        becomes(sensor, 1.5)
    until(lambda: held() <= before, "sockets and threads are let go")


def test_a_wrong_password_or_none_is_refused_in_words(
    secure: tuple[Server, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, options = secure
    monkeypatch.setenv("PLC_WORD", "wrong")
    with pytest.raises(SensorError, match="refuses: bad user name or password"):
        sensor_of(server, FLOW, **options).open()
    monkeypatch.delenv("PLC_WORD")
    with pytest.raises(SensorError, match="PLC_WORD is not set"):
        sensor_of(server, FLOW, **options).open()


def test_a_server_with_another_certificate_is_not_spoken_to(
    secure: tuple[Server, dict[str, object]], papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, options = secure
    monkeypatch.setenv("PLC_WORD", "secret")
    other, _ = papers.issue("other")
    with pytest.raises(
        SensorError, match=r"no answer within 4 s; .* are the certificates and the key the right ones"
    ):
        sensor_of(server, FLOW, **{**options, "server_cert_file": str(other)}).open()


def test_a_server_without_the_security_asked_for_is_an_error(
    server: Server, secure: tuple[Server, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLC_WORD", "secret")
    with pytest.raises(SensorError, match=f"plc: {server.url}: "):
        sensor_of(server, FLOW, **secure[1]).open()
    with pytest.raises(SensorError, match="no endpoint with security None"):
        sensor_of(secure[0], FLOW).open()


def test_certificates_that_cannot_be_read_are_named(
    secure: tuple[Server, dict[str, object]], papers: Papers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, options = secure
    monkeypatch.setenv("PLC_WORD", "secret")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n")
    nameless, key = papers.issue("nameless", "keyUsage=digitalSignature")
    cases: dict[str, dict[str, object]] = {
        r"cert_file .*no\.pem: cannot be read: No such file": {"cert_file": str(tmp_path / "no.pem")},
        r"cert_file .*broken\.pem: is no certificate": {"cert_file": str(broken)},
        r"server_cert_file .*broken\.pem: is no certificate": {"server_cert_file": str(broken)},
        r"key_file .*broken\.pem: is no key": {"key_file": str(broken)},
        "names no application: it needs a subjectAltName": {"cert_file": str(nameless), "key_file": str(key)},
    }
    for words, more in cases.items():
        with pytest.raises(SensorError, match=words):
            sensor_of(server, FLOW, **{**options, **more}).open()


# Options, and what a server may say.


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"url": "http://plc"}, "url"),
        ({"url": "opc.tcp://"}, "url"),
        ({"url": "opc.tcp://anna:secret@plc:4840"}, "url"),
        ({"url": "opc.tcp://plc:port"}, "url"),
        ({"nodes": []}, "nodes"),
        ({"nodes": [FLOW, FLOW]}, "nodes[1].name"),
        ({"nodes": [{"name": "a", "node": "Flow"}]}, "nodes[0].node"),
        ({"nodes": [{"name": "a", "node": "ns=2;x=1"}]}, "nodes[0].node"),
        ({"security": "Basic256"}, "security"),
        ({"security": "Basic256Sha256"}, "server_cert_file"),
        ({"security": "Basic256Sha256", "server_cert_file": "a"}, "cert_file"),
        ({"cert_file": "a"}, "cert_file"),
        ({"password_file": "a"}, "username"),
        ({"password": "a"}, "password"),
    ],
)
def test_options_that_make_no_sense_are_told(options: dict[str, object], path: str) -> None:
    given = {"url": "opc.tcp://plc:4840", "nodes": [FLOW], **options}
    assert [problem.path for problem in check("opcua", given)] == [path]


class Told:
    """A DataValue."""

    def __init__(self, value: object, status: int) -> None:
        self.Value = type("Variant", (), {"Value": value})()
        self.StatusCode = type("StatusCode", (), {"value": status, "name": "Bad"})()
        self.SourceTimestamp = self.ServerTimestamp = None


@given(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.floats()),
    st.sampled_from([0, BAD, UNCERTAIN, GOOD_OVERFLOW, 0xFFFFFFFF]),
)
def test_no_value_does_worse_than_being_counted(value: object, status: int) -> None:
    sensor = create(
        "plc", "opcua", {"url": "opc.tcp://plc", "nodes": [{**FLOW, "scale": 1e30, "offset": -1}]}
    )
    assert isinstance(sensor, Opcua)
    line = Written()
    sensor._take(line, 0, Told(value, status))  # type: ignore[arg-type]  # as much of a line as is spoken to
    (number,) = line.values
    assert math.isnan(number) or np.isfinite(np.float32(number))
    assert math.isnan(number) <= bool(sensor.skipped)
