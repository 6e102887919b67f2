"""The commands about what is past, parsed: recordings that are walked or learned from, and the evidence of alerts."""

from __future__ import annotations

import argparse

from agent.cli_sensors import Add, Read

EXAMPLES = {
    "replay": """
  tocsin replay pump.csv               one monitor on all channels, learning from the first rows
  tocsin replay pump.csv -o rate_hz=3200 -o 'channels=[x, y]'
  tocsin replay -c tocsin.yaml         each recording that the configuration names as a sensor
  tocsin replay -c tocsin.yaml july.csv --monitor pump --out alerts.jsonl
  tocsin replay pump.csv --labels windows.json --json
  tocsin replay valve.csv --labels column:anomaly

Alerts are written as JSON lines, one event each, as `run` publishes them but without the clock's
fields. The same files and configuration give the same bytes, whatever --chunk is.
""",
    "learn": """
  tocsin learn                         each monitor that has no baseline, from its own sensor
  tocsin learn pump --for '30 min'     more than the configuration says
  tocsin learn pump --recording good-week.csv --again
""",
    "explain": """
  tocsin explain last                  why the newest alert was one
  tocsin explain pump                  the newest of this monitor
  tocsin explain 12e035d3              an event, by the beginning of its id
  tocsin explain alert.npz --png why.png
""",
}


def add(add: Add, config: Read) -> list[argparse.ArgumentParser]:
    """Give the commands to the parser of all; those that need a configuration, which `config` reads."""
    replay = add(
        "replay",
        lambda arguments: _replay(arguments, config),
        "walk recordings through the monitors and write the alerts they would have given",
    )
    replay.add_argument(
        "recordings", metavar="RECORDING", nargs="*", help="CSV, NPZ or Parquet; default: the configuration's"
    )
    replay.add_argument(
        "--monitor", metavar="NAME", action="append", default=[], help="only this monitor; may be repeated"
    )
    replay.add_argument(
        "--sensor",
        metavar="NAME",
        action="append",
        default=[],
        help="the sensor that RECORDING stands for, where that is not clear; one for each RECORDING",
    )
    replay.add_argument(
        "--chunk",
        metavar="ROWS",
        type=_count,
        default=0,
        help="rows read at a time; the alerts stay the same",
    )
    replay.add_argument(
        "--labels",
        metavar="FILE",
        help="when something was wrong: JSON or CSV, or column:NAME of the recording",
    )
    replay.add_argument("--out", metavar="FILE", help="write the alerts there instead of on standard output")
    replay.add_argument(
        "--baseline", action="store_true", help="start from the saved baselines instead of learning"
    )
    replay.add_argument(
        "--table", action="store_true", help="a line for a person instead of JSON, as on a terminal"
    )
    replay.add_argument(
        "--evidence", metavar="DIR", help="keep the evidence of each alert there, for tocsin explain"
    )
    learn = add(
        "learn",
        lambda arguments: _learn(arguments, config),
        "learn what normal is, from sensors or a recording, and save it",
    )
    learn.add_argument(
        "monitors", metavar="MONITOR", nargs="*", help="default: all that have no baseline yet"
    )
    learn.add_argument("--recording", metavar="FILE", help="learn from this recording instead of the sensor")
    learn.add_argument(
        "--for", dest="lesson", metavar="DURATION", help='how much to learn from: "30 min", "600 rows"'
    )
    learn.add_argument("--again", action="store_true", help="replace a good baseline")
    for recorded in (replay, learn):
        recorded.add_argument(
            "-o",
            "--option",
            metavar="KEY=VALUE",
            action="append",
            default=[],
            help="an option of the driver recording, for the files given here: rate_hz=3200",
        )
    explain = add(
        "explain",
        lambda arguments: _explain(arguments, config),
        "show why an alert was raised, from the evidence it left",
    )
    explain.add_argument(
        "event",
        metavar="EVENT",
        nargs="?",
        default="last",
        help="an event's id or its beginning, a monitor's name, a file, or (as without it) \"last\"",
    )
    explain.add_argument(
        "--evidence", metavar="DIR", help="the folder to look in; default: that of the configuration"
    )
    explain.add_argument("--png", metavar="FILE", help="draw it into a picture; needs matplotlib")
    replay.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help="the configuration (default: none: one monitor on all channels)",
    )
    for telling in (replay, explain):
        telling.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return [learn, explain]


def _replay(arguments: argparse.Namespace, config: Read) -> int:
    from agent import offline

    return offline.replay_command(
        None if arguments.config is None else config(arguments),
        arguments.recordings,
        monitors=arguments.monitor,
        sensors=arguments.sensor,
        options=arguments.option,
        chunk=arguments.chunk,
        labels=arguments.labels,
        out=arguments.out,
        as_json=arguments.json,
        saved=arguments.baseline,
        evidence=arguments.evidence,
        table=arguments.table,
        config_file=arguments.config,
    )


def _learn(arguments: argparse.Namespace, config: Read) -> int:
    told = config(arguments)
    from agent import teaching

    return teaching.command(
        told,
        arguments.monitors,
        recording=arguments.recording,
        options=arguments.option,
        lesson=arguments.lesson,
        again=arguments.again,
    )


def _explain(arguments: argparse.Namespace, config: Read) -> int:
    from agent import explaining

    known = arguments.evidence is not None or explaining.is_file(arguments.event)
    return explaining.command(
        None if known else config(arguments),
        arguments.event,
        folder=arguments.evidence,
        png=arguments.png,
        as_json=arguments.json,
    )


def _count(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows: write e.g. 4096")
    return value
