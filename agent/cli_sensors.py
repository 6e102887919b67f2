"""The commands about sensors, parsed; what each needs is imported when it runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable

EXAMPLES = {
    "init": """
  tocsin init                          print a configuration of what this machine has
  tocsin init -o tocsin.yaml
  tocsin init -o tocsin.yaml --broker broker.lan
""",
    "sensors": """
  tocsin sensors                       which drivers there are, and what is on this machine
  tocsin sensors host recording        what these can be told
  tocsin sensors --json | jq .found
""",
}

Command = Callable[[argparse.Namespace], int]
Add = Callable[[str, Command, str], argparse.ArgumentParser]


def add(add: Add) -> None:
    """Give the commands to the parser of all."""
    init = add("init", _init, "look at what this machine has, and write an annotated configuration of it")
    init.add_argument("-o", "--out", metavar="FILE", help="write it there instead of on standard output")
    init.add_argument("--force", action="store_true", help="replace FILE if it exists")
    init.add_argument(
        "--broker",
        metavar="HOST[:PORT]",
        default="localhost",
        help="the broker to write into it, and to try (default: localhost)",
    )
    sensors = add("sensors", _sensors, "list the drivers, their options, and what is found on this machine")
    sensors.add_argument("drivers", metavar="DRIVER", nargs="*", help="tell the options of these")
    for telling in (sensors,):
        telling.add_argument("--json", action="store_true", help="print the result as one JSON object")


def _init(arguments: argparse.Namespace) -> int:
    from agent import starter

    return starter.command(arguments.out, force=arguments.force, broker=arguments.broker)


def _sensors(arguments: argparse.Namespace) -> int:
    from agent import drivers

    return drivers.command(arguments.drivers, as_json=arguments.json)
