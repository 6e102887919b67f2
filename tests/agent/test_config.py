"""A configuration is loaded whole, or every mistake in it is told at once, each with its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.config import ConfigError, load_text, read_password, unusable
from agent.monitor_config import AlertConfig, BearingConfig
from agent.quantities import Span

SMALL = """\
device: shed
sensors: {pump: {driver: recording, file: pump.csv}}
monitors: {pump: {sensor: pump}}
"""

WHOLE = """\
device: pump-house
broker:
  host: broker.lan
  username: tocsin
  password_file: secrets/broker
  tls: {ca_file: ca.pem}
  client_id:
  prefix: site/hall-2
  keepalive: 30 s
  protocol: "3.1.1"
  max_inflight: 5
state_dir: state
outbox: {max_size: 2 MB}
log_level: debug
sensors:
  pump: {driver: recording, file: pump.csv, speed: 60, silent_after: 1 min}
monitors:
  pump:
    sensor: pump
    channels: [temperature, 0042, on]
    detector: mahalanobis
    features: vibration
    window: 20 s
    hop: 64 rows
    smooth: 5
    max_gap: 10 s
    learn: 10 min
    sensitivity: quiet
    publish_state: 1 s
    bearing: {balls: 9, ball_diameter: 7.94 mm, pitch_diameter: 39.04 mm, speed: 1800 rpm}
    alert: {on_delay: 1 s, off_delay: 2 s, off_level: 0.8, hold: 0, critical: 3, flood: 6 per hour}
"""


def mistakes(text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    return str(caught.value).splitlines()


def monitor(**settings: str) -> str:
    lines = "".join(f"    {key}: {value}\n" for key, value in settings.items())
    return f"sensors: {{pump: {{driver: recording, file: a.csv}}}}\nmonitors:\n  pump:\n    sensor: pump\n{lines}"


def test_every_setting_has_its_value_in_si_units() -> None:
    config = load_text(WHOLE, "/etc/x/tocsin.yaml")
    assert config.device == "pump-house"
    assert (config.broker.port, config.broker.client_id) == (8883, "tocsin-pump-house")
    assert (config.broker.prefix, config.broker.protocol, config.broker.keepalive_s) == (
        "site/hall-2",
        "3.1.1",
        30.0,
    )
    assert config.outbox.max_size_bytes == 2_000_000
    pump = config.monitors["pump"]
    assert pump.name == "pump"
    assert pump.channels == ("temperature", "0042", "on")
    assert (pump.window, pump.hop, pump.learn) == (Span(20.0, "s"), Span(64, "rows"), Span(600.0, "s"))
    assert pump.bearing == BearingConfig(
        balls=9, ball_diameter_m=0.00794, pitch_diameter_m=0.03904, contact_angle_deg=0.0, speed_hz=30.0
    )
    assert pump.alert == AlertConfig(
        on_delay_s=1.0, off_delay_s=2.0, off_level=0.8, hold_s=0.0, critical_level=3.0, flood_per_hour=6
    )


def test_what_is_not_given_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    config = load_text(SMALL)
    assert (config.broker.host, config.broker.port, config.broker.client_id) == (
        "localhost",
        1883,
        "tocsin-shed",
    )
    assert config.broker.tls is None
    assert config.runtime_dir == Path("/var/lib/tocsin/run")
    assert config.monitors["pump"].alert == AlertConfig()
    assert config.monitors["pump"].channels == ()
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/tocsin:/run/other")
    assert load_text(SMALL).runtime_dir == Path("/run/tocsin")


def test_a_device_without_a_name_is_called_as_its_host() -> None:
    config = load_text(SMALL.replace("device: shed\n", ""))
    assert config.device
    assert not set(config.device) & set("+#/ ")


def test_the_configuration_is_frozen() -> None:
    config = load_text(SMALL)
    with pytest.raises(AttributeError):
        config.device = "other"  # type: ignore[misc]
    assert msgspec.structs.asdict(config.monitors["pump"])["sensor"] == "pump"


def test_a_relative_path_starts_at_the_folder_of_its_file() -> None:
    config = load_text(WHOLE, "/etc/x/tocsin.yaml")
    assert config.state_dir == Path("/etc/x/state")
    assert config.broker.password_file == Path("/etc/x/secrets/broker")
    assert config.broker.tls is not None
    assert config.broker.tls.ca_file == Path("/etc/x/ca.pem")
    assert config.sensors["pump"].options == {"file": "/etc/x/pump.csv", "speed": 60}


JOIN = """\
sensors:
  cell:
    driver: join
    of:
      pump: {driver: recording, file: pump.csv}
      board: {driver: host}
monitors: {cell: {sensor: cell}}
"""


def test_the_paths_of_a_joins_parts_start_there_too() -> None:
    of = load_text(JOIN, "/etc/x/tocsin.yaml").sensors["cell"].options["of"]
    assert of == {"pump": {"driver": "recording", "file": "/etc/x/pump.csv"}, "board": {"driver": "host"}}


def test_a_mistake_in_a_joins_part_has_its_line_and_path() -> None:
    assert mistakes(JOIN.replace("host}", "hots, rate: 1}")) == [
        'tocsin.yaml:6: sensors.cell.of.board.driver: "hots": unknown driver: did you mean host?'
    ]


def test_a_channel_that_no_part_of_a_join_has_is_told_before_it_runs() -> None:
    plug = "{driver: http, url: http://127.0.0.1/, channels: [{name: power}]}"
    text = JOIN.replace("{driver: recording, file: pump.csv}", plug).replace(
        "{driver: host}", "{driver: synthetic}"
    )
    assert mistakes(text.replace("sensor: cell", "sensor: cell, channels: [pump powr]")) == [
        'tocsin.yaml:7: monitors.cell.channels[0]: "pump powr" is not a channel of cell: did you mean pump power?'
    ]


def test_recordings_that_are_joined_begin_anew_as_one_does() -> None:
    both = JOIN.replace("{driver: host}", "{driver: join, of: {fan: {driver: recording, file: fan.csv}}}")
    assert load_text(both).sensors["cell"].replayed
    assert not load_text(JOIN).sensors["cell"].replayed


def test_a_sensor_is_silent_after_ten_readings_and_at_least_30_s() -> None:
    pump = load_text(SMALL).sensors["pump"]
    assert (pump.silence_s(1.0), pump.silence_s(300.0)) == (30.0, 3000.0)
    assert load_text(WHOLE).sensors["pump"].silence_s(300.0) == 60.0


def test_every_mistake_is_told_at_once_with_its_line_and_path() -> None:
    text = """\
devise: shed
broker: {port: 99999, keepalive: 30, tls: {ca_fil: x}, max_inflight: true}
log_level: inf
sensors:
  pump: {driver: recordin}
  fan: {driver: recording, fil: fan.csv, speed: -1, silent_after: -3 s}
  bad name: {driver: recording, file: a.csv}
monitors:
  pump:
    sensor: fann
    window: 20 parsec
    hop: 0 s
    smooth: 5.5
    learn: 10
    on_delay: 3 s
    channels: temperature
  request: {sensor: pump, detector: levl}
"""
    assert mistakes(text) == [
        "tocsin.yaml:1: devise: is not a setting: did you mean device?",
        'tocsin.yaml:2: broker.keepalive: 30 has no unit: write e.g. "20 s", "5 min" or "2 h"',
        "tocsin.yaml:2: broker.max_inflight: true is not a whole number",
        "tocsin.yaml:2: broker.port: 99999 is too large: at most 65535",
        "tocsin.yaml:2: broker.tls.ca_fil: is not a setting: did you mean ca_file?",
        'tocsin.yaml:3: log_level: "inf" is not one of debug, info, warning, error: did you mean info?',
        'tocsin.yaml:5: sensors.pump.driver: "recordin" is not a driver: did you mean recording?',
        'tocsin.yaml:6: sensors.fan.fil: "fil": unknown option: did you mean file?',
        "tocsin.yaml:6: sensors.fan.file: is missing: a text",
        'tocsin.yaml:6: sensors.fan.silent_after: "-3 s" is negative',
        "tocsin.yaml:6: sensors.fan.speed: -1: must be of at least 0",
        'tocsin.yaml:7: sensors."bad name": "bad name" is not a name: it has a space in it, which topics or file '
        "names cannot carry",
        'tocsin.yaml:10: monitors.pump.sensor: "fann" is not a sensor: did you mean fan?',
        'tocsin.yaml:11: monitors.pump.window: "20 parsec" is not a duration: write e.g. "20 s", "5 min" or '
        '"20 rows"',
        'tocsin.yaml:12: monitors.pump.hop: "0 s" is zero: it must be longer than nothing',
        "tocsin.yaml:13: monitors.pump.smooth: 5.5 is not a whole number",
        'tocsin.yaml:14: monitors.pump.learn: 10 has no unit: write e.g. "20 s", "5 min" or "20 rows"',
        "tocsin.yaml:15: monitors.pump.on_delay: is not a setting: it belongs under alert",
        'tocsin.yaml:16: monitors.pump.channels: "temperature" is not a list: write [temperature]',
        'tocsin.yaml:17: monitors.request: "request" is a name that the agent needs for a topic of its own: '
        "choose another",
        'tocsin.yaml:17: monitors.request.detector: "levl" is not one of auto, mahalanobis, reconstruction, '
        "level, knn, spectral, autoencoder: did you mean level?",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", 'tocsin.yaml: is empty: "tocsin init" writes one to start from'),
        ("# only words\n", 'tocsin.yaml: is empty: "tocsin init" writes one to start from'),
        ("just words", 'tocsin.yaml:1: "just words" is not a mapping: write its keys below it'),
        ("[a, b]", "tocsin.yaml:1: a list is not a mapping: write its keys below it"),
        ("device: a\n", "tocsin.yaml:1: monitors: there are none: nothing would be watched"),
        ("device: a\n", "tocsin.yaml:1: sensors: there are none: nothing would be read"),
        ("sensors: {}\nmonitors:\n", "tocsin.yaml:2: monitors: there are none: nothing would be watched"),
        ("a: b: c", "tocsin.yaml:1: column 5: is not YAML: mapping values are not allowed here"),
        ("a: [1, 2\nb: 3", "tocsin.yaml:2: column 2: is not YAML: "),
        ("a: 1\n---\nb: 2", "tocsin.yaml:2: column 1: is not YAML: "),
        ("a: \x07", "tocsin.yaml: is not YAML: "),
        (b"a: \xff\xfe\xfa", "tocsin.yaml: is not YAML: "),
        ("a: !!python/object:os.system x", "tocsin.yaml:1: a: has a tag that means nothing here"),
        ("a: &x [*x]", "is too big: does an alias (*) lead back to itself?"),
        ("? [a]\n: b\n", "tocsin.yaml:1: has a key that is not a name"),
        ("sensors: 3", "tocsin.yaml:1: sensors: 3 is not a mapping: write a name, then its settings"),
        ("sensors: {x: 3}", "tocsin.yaml:1: sensors.x: 3 is not a mapping: write its keys below it"),
        ("sensors: {x: }", "tocsin.yaml:1: sensors.x.driver: is missing: "),
        (
            "monitors: {x: {}}",
            "tocsin.yaml:1: monitors.x.sensor: is missing: name of the sensor it listens to",
        ),
        ("device: a/b", 'tocsin.yaml:1: device: "a/b" is not a name: it has / in it'),
        ("device: a+b", "it has + in it"),
        ("device: .a", "it begins with ."),
        ("device: " + 65 * "a", "is too long: at most 64 bytes"),
        ('device: "a\\0b"', "it has \\x00 in it"),
        ('device: "a\\u202eb"', "it has a character in it that cannot be shown"),
        ("device: [a]", "a list is not"),
        ("broker: {host: 'mqtt://b'}", '"mqtt://b" is not a host: write the name or address alone'),
        ("broker: {prefix: a//b}", "is empty: write e.g."),
        ("broker: {tls: 3}", "tocsin.yaml:1: broker.tls: 3 is not a mapping"),
        ("broker: {tls: {key_file: k}}", "tocsin.yaml:1: broker.tls.key_file: needs a cert_file beside it"),
        ("broker: {password_file: a}", "tocsin.yaml:1: broker.password_file: needs a username beside it"),
        (
            "broker: {username: a, password_file: a, password_env: A}",
            "tocsin.yaml:1: broker.password_env: is not needed: password_file is there already",
        ),
        ("state_dir: [1]", "tocsin.yaml:1: state_dir: a list is not a file's name"),
        ("outbox: {max_size: 1 kB}", '"1 kB" is too small: at least 256 kB'),
        (monitor(learn="10 rows", window="20 rows"), "monitors.pump.learn: 10 rows is too short"),
        (monitor(features="vibration", window="20 rows"), "features need at least 64 rows"),
        (
            monitor(features="vibration", detector="level"),
            '"level" is for telemetry: vibration needs "mahalanobis" or "spectral" or "autoencoder"',
        ),
        (monitor(features="telemetry", detector="spectral"), '"spectral" is for vibration: telemetry needs'),
        (monitor(variant="int8"), 'variant: is a setting of the detector "autoencoder"'),
        (monitor(detector="spectral", variant="fp32"), 'variant: is a setting of the detector "autoencoder"'),
        (
            monitor(detector="autoencoder", variant="int4"),
            'variant: "int4" is not one of auto, fp32, int8: did you mean int8?',
        ),
        (
            monitor(detector="autoencoder", window="1000 rows"),
            "1000 rows is too short: the detector autoencoder needs at least 1024 rows",
        ),
        (
            monitor(
                detector="autoencoder",
                bearing="{balls: 9, ball_diameter: 8 mm, pitch_diameter: 39 mm, speed: 1 Hz}",
            ),
            'monitors.pump.bearing: is heard by "spectral"',
        ),
        (monitor(detector="knn", window="5 rows"), 'is not a setting of the detector "knn"'),
        (monitor(detector="level", window="5 rows"), 'is not a setting of the detector "level"'),
        (monitor(features="telemetry", smooth="5"), "monitors.pump.smooth: is a setting for vibration"),
        (monitor(channels="[]"), "is empty: leave it out to take all of them"),
        (monitor(channels="[a, b, a]"), 'monitors.pump.channels[2]: "a" is here twice'),
        (monitor(channels="[[a]]"), "monitors.pump.channels[0]: a list is not a name"),
        (monitor(alert="{off_level: .nan}"), "is not a finite number"),
        (monitor(alert="{on_level: 1}"), "an alert begins at level 1.0"),
        (
            monitor(bearing="{balls: 9}"),
            "monitors.pump.bearing.ball_diameter: is missing: diameter of a ball",
        ),
        (
            monitor(bearing="{balls: 9, ball_diameter: 9 mm, pitch_diameter: 8 mm, speed: 1 Hz}"),
            "monitors.pump.bearing.pitch_diameter: is not larger than ball_diameter",
        ),
        (
            monitor(
                features="telemetry",
                bearing="{balls: 9, ball_diameter: 8 mm, pitch_diameter: 39 mm, speed: 1 Hz}",
            ),
            "monitors.pump.bearing: is heard in a vibration only",
        ),
    ],
)
def test_a_mistake_is_told(text: str | bytes, said: str) -> None:
    assert any(said in line for line in mistakes(text)), mistakes(text)


def test_a_window_is_measured_at_the_rate_that_the_driver_gives() -> None:
    text = monitor(window="50 ms").replace("a.csv", "a.csv, rate_hz: 1 kHz")
    assert mistakes(text) == [
        "tocsin.yaml:5: monitors.pump.window: 50 ms is too short: vibration features need at least 64 rows, "
        "64 ms at 1000 Hz"
    ]
    assert load_text(text.replace("50 ms", "64 ms"))


def test_two_sensors_with_one_name_in_a_file_are_a_mistake() -> None:
    text = SMALL + "sensors: {fan: {driver: recording, file: b.csv}}\n"
    assert "tocsin.yaml:4: sensors: is here twice: it is on line 2 already" in mistakes(text)
    text = "sensors:\n  a: {driver: recording, file: a}\n  a: {driver: recording, file: b}\nmonitors: {a: {sensor: a}}"
    assert mistakes(text) == ["tocsin.yaml:3: sensors.a: is here twice: it is on line 2 already"]


def test_of_two_sensors_with_one_name_the_mistakes_of_both_are_told() -> None:
    text = """\
sensors:
  pump: {driver: recording, file: a.csv, speeed: 2}
  pump: {driver: synthetic, rate_hz: fast}
  fan:
    driver: recordin
  fan:
    driver: recording
monitors:
  pump: {sensor: pump, window: 20 parsec}
  pump: {sensor: pump, hop: 5}
"""
    found = [line.split(": ")[:2] for line in mistakes(text) if "is here twice" not in line]
    assert found == [
        ["tocsin.yaml:2", "sensors.pump.speeed"],
        ["tocsin.yaml:3", "sensors.pump.rate_hz"],
        ["tocsin.yaml:5", "sensors.fan.driver"],
        ["tocsin.yaml:6", "sensors.fan.file"],
        ["tocsin.yaml:9", "monitors.pump.window"],
        ["tocsin.yaml:10", "monitors.pump.hop"],
    ]


def test_of_a_section_that_is_there_twice_all_entries_are_looked_at() -> None:
    text = """\
sensors:
  pump: {driver: recording, file: a.csv, speeed: 2}
monitors:
  pump: {sensor: pump}
sensors:
  fan: {driver: recordin, file: b.csv}
"""
    assert [line.split(": ")[:2] for line in mistakes(text)] == [
        ["tocsin.yaml:2", "sensors.pump.speeed"],
        ["tocsin.yaml:5", "sensors"],
        ["tocsin.yaml:6", "sensors.fan.driver"],
    ]


def test_two_definitions_that_do_not_fit_each_other_are_one_mistake() -> None:
    """What only the hidden one would make of others is not told."""
    text = """\
sensors:
  pump: {driver: synthetic, rate_hz: 100, output: telemetry}
  pump: {driver: synthetic, rate_hz: 3200}
monitors:
  pump: {sensor: pump, window: 50 ms}
"""
    assert mistakes(text) == ["tocsin.yaml:3: sensors.pump: is here twice: it is on line 2 already"]


def test_thousands_of_doubles_are_looked_through_in_a_moment() -> None:
    text = "sensors:\n" + "  a: {driver: host, rate: 1}\n" * 5000
    assert len(mistakes(text)) > 5000


def test_two_monitors_may_listen_to_one_sensor() -> None:
    config = load_text(SMALL.replace("{sensor: pump}", "{sensor: pump}, slow: {sensor: pump, hop: 5 rows}"))
    assert {monitor.sensor for monitor in config.monitors.values()} == {"pump"}


def test_a_merge_key_shares_settings() -> None:
    text = """\
sensors: {a: {driver: recording, file: a.csv}}
monitors:
  one: &one {sensor: a, sensitivity: quiet}
  two: {<<: *one, window: 5 rows}
  three: {<<: *one, sensitivity: sensitive}
"""
    config = load_text(text)
    assert [m.sensitivity for m in config.monitors.values()] == ["quiet", "quiet", "sensitive"]


def test_a_name_that_yaml_takes_for_a_number_or_a_truth_needs_no_quotes() -> None:
    text = "device: 0042\nsensors: {on: {driver: recording, file: a.csv}}\nmonitors: {1: {sensor: on}}\n"
    config = load_text(text)
    assert (config.device, list(config.sensors), list(config.monitors)) == ("0042", ["on"], ["1"])


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a: &a [1,1,1,1,1,1,1,1,1,1]"]
    lines += [
        f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]"
        for before, name in zip("abcdefg", "bcdefgh", strict=True)
    ]
    assert any("is too big" in line for line in mistakes("\n".join(lines)))


def test_deep_nesting_is_refused() -> None:
    assert mistakes("a: " + "[" * 5000)
    assert any("is too big" in line for line in mistakes("a: " + "[" * 60 + "]" * 60))


def test_a_password_in_the_file_is_refused_and_never_repeated() -> None:
    (line,) = mistakes(SMALL + "broker: {username: me, password: hunter2}\n")
    assert line.startswith("tocsin.yaml:4: broker.password: a password does not belong in this file")
    assert "password_file" in line
    assert "hunter2" not in line


def test_the_password_is_read_from_its_file_or_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = "broker: {{username: me, {}}}\n"
    assert read_password(load_text(SMALL).broker) is None
    config = load_text(SMALL + broker.format("password_file: secret"), tmp_path / "tocsin.yaml")
    with pytest.raises(ConfigError, match=r"broker\.password_file: .* cannot be read: No such file"):
        read_password(config.broker)
    (tmp_path / "secret").write_text("")
    with pytest.raises(ConfigError, match="is empty: its first line must be the password"):
        read_password(config.broker)
    (tmp_path / "secret").write_text("hunter 2\nnot this\n")
    assert read_password(config.broker) == "hunter 2"
    assert "hunter" not in repr(config)
    config = load_text(SMALL + broker.format("password_env: TOCSIN_TEST_PASSWORD"))
    with pytest.raises(ConfigError, match="is an environment variable that is not set, or empty"):
        read_password(config.broker)
    monkeypatch.setenv("TOCSIN_TEST_PASSWORD", "hunter3")
    assert read_password(config.broker) == "hunter3"


def test_the_configuration_costs_no_heavy_import() -> None:
    heavy = "{'socket', 'difflib', 'numpy', 'onnxruntime', 'paho', 'sensors', 'models', 'psutil'}"
    code = f"import sys, agent.config; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("key", "value"), [("max_delay", "1 min"), ("priority", "high")])
def test_what_only_the_governor_reads_needs_budgets(key: str, value: str) -> None:
    text = f"sensors: {{a: {{driver: synthetic}}}}\nmonitors: {{m: {{sensor: a, {key}: {value}}}}}\n"
    with pytest.raises(
        ConfigError, match=rf"monitors\.m\.{key}: is for the governor, and there are no budgets"
    ):
        load_text(text)
    assert load_text("budgets: true\n" + text).budgets is not None


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("cpu: 10", "has no unit"),
        ("cpu: 0.05%", "is too small: at least 0.1 %"),
        ("power: 5 V", "is not a power"),
        ("temperature: 350 K", "is not a temperature"),
        ("temperature: 10 °C", "is too small: at least 20 °C"),
        ("battery: 5 min", "is too small: at least 10 min"),
        ("memory: 1 MB", "is too small: at least 20 MB"),
        ("board: pi4", "did you mean pi-4"),
        ("heat: 70", "is not a setting"),
    ],
)
def test_a_wrong_budget_is_told_with_what_would_be_right(budget: str, message: str) -> None:
    text = f"budgets: {{{budget}}}\nsensors: {{a: {{driver: synthetic}}}}\nmonitors: {{m: {{sensor: a}}}}\n"
    with pytest.raises(ConfigError, match=message):
        load_text(text)


def test_a_default_state_dir_that_cannot_be_used_is_told_with_one_that_can() -> None:
    assert unusable(load_text(SMALL).state_dir, "Permission denied") == (
        "state_dir /var/lib/tocsin cannot be used: Permission denied: "
        'write "state_dir: state" for a folder beside the configuration'
    )
    assert unusable(Path("/mnt/usb"), "Read-only").endswith("/mnt/usb cannot be used: Read-only")
