"""A plant with at least one peer for each driver."""

from __future__ import annotations

from pathlib import Path

from tests.agent.brokers import HOST, free_port
from tests.proof import peers
from tests.proof.peers import Peer


def every_peer(folder: Path, seconds: float) -> list[Peer]:
    """Not started. The recording comes to its end within `seconds`."""
    channel = [{"name": "count"}, {"name": "power", "unit": "W"}]
    registers = [{"name": "count", "table": "holding", "address": 0, "type": "uint32"}]
    registers += [{"name": f"r{i}", "table": "holding", "address": i} for i in range(2, 10)]
    flow = {"sparkplug": "Plant/Edge", "metric": "Flow"}
    values = [{"name": "plain", "topic": "plain"}, {"name": "json", "topic": "json", "path": "pumps[0].flow"}]
    values.append({"name": "flow", **flow})
    dbc = folder / "drive.dbc"
    dbc.write_text(peers.DBC)
    ports = [free_port() for _ in range(4)]
    bus = {"driver": "can", "dbc_file": str(dbc), "rate_hz": 10, "stale_after_s": 1}
    page = {"driver": "http", "channels": [{"name": "count", "at": "meter.count"}], "rate_hz": 2}
    url = f"http://{HOST}:{{}}/"
    return [
        peers.Answering(
            "tcp",
            "pymodbus's server, TCP; 9 values in one request",
            {"driver": "modbus", "host": HOST, "host_port": ports[0], "registers": registers, "rate_hz": 10},
            *("modbus", "tcp", str(ports[0])),
        ),
        peers.OnALine(
            "rtu",
            "pymodbus's server, RTU over a pair of ptys",
            {"driver": "modbus", "registers": registers, "rate_hz": 10},
            folder / "line",
        ),
        peers.Program(
            "opcua",
            "asyncua's server, 10 values/s",
            {
                "driver": "opcua",
                "url": f"opc.tcp://{HOST}:{ports[1]}",
                "nodes": [{"name": "count", "node": "nsu=urn:plant;s=Count"}],
                "rate_hz": 10,
            },
            *("opcua", str(ports[1]), "10"),
        ),
        peers.AtABroker(
            "mqtt",
            "Mosquitto; plain, JSON and Sparkplug B, 10/s each",
            {"driver": "mqtt", "values": values, "rate_hz": 10},
            folder,
            10,
        ),
        peers.Program(
            "can",
            "python-can's udp_multicast, 100 frames/s",
            {**bus, "interface": "udp_multicast", "channel": "239.74.163.2"},
            *("can", "239.74.163.2", "43113", "100"),
        ),
        peers.Program(
            "slcan",
            "an slcan adapter on a pty, 100 frames/s",
            {**bus, "interface": "slcan", "channel": str(folder / "adapter"), "bitrate": 250000},
            *("slcan", str(folder / "adapter"), "100"),
        ),
        peers.Program(
            "serial",
            "an instrument on a pty, 20 lines/s",
            {
                "driver": "serial",
                "port": str(folder / "instrument"),
                "line": {"separator": ";"},
                "channels": channel,
                "rate_hz": 20,
            },
            *("serial", str(folder / "instrument"), "20"),
        ),
        peers.Script("exec", "a program, 20 lines/s", folder / "script", 20),
        peers.Answering(
            "http",
            "a server of JSON",
            {**page, "url": url.format(ports[2])},
            *("http", str(ports[2])),
        ),
        peers.Exporter(
            "node",
            "Debian's node_exporter",
            {
                "driver": "http",
                "form": "prometheus",
                "rate_hz": 1,
                "channels": [{"name": "memory", "unit": "By", "at": "node_memory_MemAvailable_bytes"}],
            },
        ),
        peers.Files(
            "sysfs",
            "umockdev's recording of the kernel's lm75",
            {"driver": "sysfs", "channels": [{"hwmon": "lm75", "item": "temp1"}], "rate_hz": 10},
        ),
        peers.Files(
            "iio",
            "umockdev's recording of the kernel's bmp280, polled",
            {"driver": "iio", "device": "bmp280", "rate_hz": 10},
        ),
        peers.Capture("capture", "a FIFO of frames, 3 axes at 3.2 kHz", folder / "board", 3200),
        peers.Chip("chip", "an ADXL345 emulated in the agent, 100 Hz", {"driver": "adxl345", "rate_hz": 100}),
        peers.Answering(
            "join",
            "a server of JSON, and a machine at 800 Hz",
            {
                "driver": "join",
                "rate_hz": 5,
                "of": {
                    "meter": {**page, "url": url.format(ports[3]), "take": "last"},
                    "motor": {"driver": "synthetic", "rate_hz": 800},
                },
            },
            *("http", str(ports[3])),
        ),
        peers.Stage(
            "sound",
            "PulseAudio, through arecord: 2 channels at 48 kHz",
            {"driver": "audio", "device": "room", "channels": [{"name": "left"}, {"name": "right"}]},
            folder / "room",
        ),
        peers.Network(
            "eye",
            "GStreamer's RTSP server, through ffmpeg",
            {"driver": "camera", "rate_hz": 1, "timeout_s": 3},
        ),
        peers.Film(
            "film", "a video file, through ffmpeg", {"driver": "camera"}, folder / "film.mp4", seconds
        ),
        peers.Simulated("motor", "itself, 2 axes at 3.2 kHz", {"driver": "synthetic"}),
        peers.Peer(
            "board",
            "this machine",
            {"driver": "host", "include": ["cpu", "load", "memory", "agent"], "rate_hz": 2},
        ),
        peers.Played("history", "a CSV of 2000 rows", folder / "history.csv", 2000, 60 * 2000 / seconds),
    ]
