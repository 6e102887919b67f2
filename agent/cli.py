"""The commands, parsed; what each needs is imported when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from agent import cli_sensors
from agent.cli_sensors import CONFIG

if TYPE_CHECKING:
    from agent.config import Config

OK, FAULT, MISTAKE, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141  # the last two: 128 + SIGINT, SIGPIPE

ABOUT = """\
Tocsin listens to machines: it learns in place what normal is, and rings over MQTT.

Results go to standard output, progress and messages to standard error. Exit codes: 0 done,
1 a fault of tocsin's own, 2 a mistake in what it was given: the configuration, a file, an option.
"""
EXAMPLES = {
    "": """
  tocsin demo                          hear a real machine fail, within a minute
  tocsin replay pump.csv               what would it have said about this recording?
  tocsin init -o tocsin.yaml           a configuration for what this machine has
  tocsin check -c tocsin.yaml          is it right?
  tocsin run -c tocsin.yaml            listen
""",
    "demo": """
  tocsin demo                          ends by itself within a minute
  tocsin demo --watch                  goes on until Ctrl-C
  tocsin demo --broker localhost:1883  rings at your own broker
""",
    "run": """
  tocsin run                           with /etc/tocsin/tocsin.yaml, as the systemd unit does
  tocsin run -c tocsin.yaml -v
""",
    "check": """
  tocsin check -c tocsin.yaml          every mistake at once, or a table of what would run
  tocsin check --json | jq .monitors
""",
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
    "status": """
  tocsin status                        how the running agent is
  tocsin status --json | jq .monitors
""",
    "top": """
  tocsin top                           budgets, use and plans of the running agent, until q
  tocsin top --once
""",
    "bench": """
  tocsin bench -c tocsin.yaml          what each monitor costs on this very device
  tocsin bench                         the same; without a configuration, of three usual monitors
  tocsin bench --seconds 1 --json
  tocsin bench --power                 what a busy core adds in watts, for budgets of power
""",
    "schema": """
  tocsin schema                        the names of all schemas
  tocsin schema event > event.json     JSON Schema of what is published on <prefix>/<device>/event
""",
    **cli_sensors.EXAMPLES,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as end:  # argparse has said it all
        return int(end.code or 0)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        code = command(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except _mistakes() as mistake:
        print(mistake, file=sys.stderr)
        return MISTAKE
    except OSError as error:  # the place we write to: a full disk, a closed terminal
        print(f"tocsin: cannot write the result: {error.strerror or error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT


def _mistakes() -> tuple[type[Exception], ...]:
    """What is the user's to mend; looked up when something was raised, for its imports are heavy."""
    from agent.config import ConfigError
    from agent.recordings import Refusal
    from sensors.base import SensorError

    return (ConfigError, Refusal, SensorError)


# The commands.


def _version(_: argparse.Namespace) -> int:
    from agent.version import tocsin_version

    print(f"tocsin {tocsin_version()}")
    return OK


def _demo(arguments: argparse.Namespace) -> int:
    from agent.demo import show

    return show.main(arguments.watch, arguments.broker)


def _run(arguments: argparse.Namespace) -> int:
    config = _config(arguments)
    if arguments.verbose:
        import msgspec

        config = msgspec.structs.replace(config, log_level="debug" if arguments.verbose > 1 else "info")
    from agent import daemon

    return daemon.run(config)


def _check(arguments: argparse.Namespace) -> int:
    from agent import checking
    from agent.config import ConfigError

    try:
        config = _config(arguments)
    except ConfigError as mistakes:
        if not arguments.json:
            raise
        print(checking.mistakes_as_json(mistakes))
        return MISTAKE
    return checking.command(config, as_json=arguments.json)


def _replay(arguments: argparse.Namespace) -> int:
    from agent import offline

    return offline.replay_command(
        None if arguments.config is None else _config(arguments),
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


def _learn(arguments: argparse.Namespace) -> int:
    config = _config(arguments)
    from agent import teaching

    return teaching.command(
        config,
        arguments.monitors,
        recording=arguments.recording,
        options=arguments.option,
        lesson=arguments.lesson,
        again=arguments.again,
    )


def _explain(arguments: argparse.Namespace) -> int:
    from agent import explaining

    known = arguments.evidence is not None or explaining.is_file(arguments.event)
    return explaining.command(
        None if known else _config(arguments),
        arguments.event,
        folder=arguments.evidence,
        png=arguments.png,
        as_json=arguments.json,
    )


def _status(arguments: argparse.Namespace) -> int:
    config = _config(arguments)
    from agent import status

    return status.command(config, arguments.json)


def _top(arguments: argparse.Namespace) -> int:
    config = _config(arguments)
    from agent import top

    return top.command(config, every_s=arguments.every, once=arguments.once)


def _bench(arguments: argparse.Namespace) -> int:
    if arguments.power:
        from agent import wattage

        return wattage.command(arguments.seconds or 30.0)
    stock = arguments.config is None and not os.access(CONFIG, os.F_OK)
    config = None if stock else _config(arguments)
    from agent import bench

    return bench.command(config, seconds=arguments.seconds or 2.0, as_json=arguments.json)


def _schema(arguments: argparse.Namespace) -> int:
    import json

    from agent.config_schema import config_schema
    from agent.messages import schemas

    known = {**schemas(), "config": config_schema()}
    if arguments.name is None:
        print("\n".join(known))
        return OK
    if arguments.name not in known:
        from agent.recordings import Refusal, unknown

        raise Refusal(unknown("schema", arguments.name, known))
    print(json.dumps(known[arguments.name], indent=2))
    return OK


def _config(arguments: argparse.Namespace) -> Config:
    """The configuration asked for, or the installed one."""
    from agent.config import load

    config = load(arguments.config or CONFIG)
    _log_to_stderr(arguments.verbose, config.log_level)
    return config


def _log_to_stderr(verbose: int, level: str) -> None:
    import logging

    level = level.upper() if not verbose else "DEBUG" if verbose > 1 else "INFO"
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")


# Their options.


class Parser(argparse.ArgumentParser):
    """Argparse with examples, and with "did you mean" for a command."""

    def error(self, message: str) -> NoReturn:
        if "invalid choice: " in message:
            from difflib import get_close_matches

            word = message.partition("invalid choice: ")[2].split("'")[1]
            near = get_close_matches(word, EXAMPLES, 1)
            message = f"no command {word}" + (f": did you mean {near[0]}?" if near else "")
        self.exit(MISTAKE, f'{self.prog}: {message} (see "{self.prog} --help")\n')


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    form = argparse.RawDescriptionHelpFormatter
    loud = Parser(add_help=False)
    loud.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice: everything")
    top = Parser(
        prog="tocsin",
        description=ABOUT,
        epilog="examples:" + EXAMPLES[""],
        formatter_class=form,
        allow_abbrev=False,
    )
    top.add_argument(
        "--version", dest="command", action="store_const", const=_version, help="print the version"
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog="examples:" + EXAMPLES[name],
            formatter_class=form,
            parents=[loud],
            allow_abbrev=False,
        )
        made.set_defaults(command=command)
        return made

    demo = add("demo", _demo, "hear a real machine fail and a bearing wear, over MQTT, within a minute")
    demo.add_argument("--watch", action="store_true", help="go on until Ctrl-C")
    demo.add_argument("--broker", metavar="HOST[:PORT]", help="ring at this broker instead of one of its own")

    run = add("run", _run, "listen: the agent itself, until it is told to stop")
    check = add("check", _check, "read the configuration and say what would run; needs no hardware")
    replay = add(
        "replay", _replay, "walk recordings through the monitors and write the alerts they would have given"
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
    learn = add("learn", _learn, "learn what normal is, from sensors or a recording, and save it")
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
    explain = add("explain", _explain, "show why an alert was raised, from the evidence it left")
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
    status = add("status", _status, "ask the running agent how it is")
    watched = add("top", _top, "show budgets, use and plans of the running agent, live")
    watched.add_argument(
        "--every", metavar="N", type=_positive, default=2.0, help="seconds between two looks (default: 2)"
    )
    watched.add_argument("--once", action="store_true", help="show it once, as plain lines")
    bench = add("bench", _bench, "time each monitor's road on this very device")
    bench.add_argument(
        "--seconds", metavar="N", type=_positive, help="time for each measurement (default: 2; of power: 30)"
    )
    bench.add_argument(
        "--power",
        action="store_true",
        help="measure instead what a busy core adds in watts, by this board's meter or by one that you read",
    )
    configured_too = cli_sensors.add(add, _config)
    schema = add("schema", _schema, "print the JSON Schema of a payload")
    schema.add_argument("name", metavar="NAME", nargs="?", help="which; without it, their names")

    for configured in (run, check, replay, learn, explain, status, watched, bench, *configured_too):
        default = "none: one monitor on all channels" if configured is replay else CONFIG
        configured.add_argument(
            "-c", "--config", metavar="FILE", help=f"the configuration (default: {default})"
        )
    for telling in (check, replay, explain, status, bench):
        telling.add_argument("--json", action="store_true", help="print the result as one JSON object")
    top.set_defaults(command=lambda _: _help(top))
    return top


def _help(top: argparse.ArgumentParser) -> int:
    top.print_help(sys.stderr)
    return MISTAKE


def _count(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows: write e.g. 4096")
    return value


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 3600.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0 and 3600")
    return value
