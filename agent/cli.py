"""The commands, parsed; what each needs is imported when it runs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from agent import cli_recordings, cli_sensors
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
    **cli_recordings.EXAMPLES,
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


def _config(arguments: argparse.Namespace, *, monitors: bool = True) -> Config:
    """The configuration asked for, or the installed one; without `monitors` it need have none."""
    from agent.config import load

    config = load(arguments.config or CONFIG, monitors=monitors)
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
    walking = cli_recordings.add(add, _config)
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
    configured_too = cli_sensors.add(add, partial(_config, monitors=False))
    schema = add("schema", _schema, "print the JSON Schema of a payload")
    schema.add_argument("name", metavar="NAME", nargs="?", help="which; without it, their names")

    for configured in (run, check, *walking, status, watched, bench, *configured_too):
        configured.add_argument(
            "-c", "--config", metavar="FILE", help=f"the configuration (default: {CONFIG})"
        )
    for telling in (check, status, bench):
        telling.add_argument("--json", action="store_true", help="print the result as one JSON object")
    top.set_defaults(command=lambda _: _help(top))
    return top


def _help(top: argparse.ArgumentParser) -> int:
    top.print_help(sys.stderr)
    return MISTAKE


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 3600.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0 and 3600")
    return value
