"""The commands about sensors, parsed; what each needs is imported when it runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable

EXAMPLES = {
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
    sensors = add("sensors", _sensors, "list the drivers, their options, and what is found on this machine")
    sensors.add_argument("drivers", metavar="DRIVER", nargs="*", help="tell the options of these")
    for telling in (sensors,):
        telling.add_argument("--json", action="store_true", help="print the result as one JSON object")


def _sensors(arguments: argparse.Namespace) -> int:
    from agent import drivers

    return drivers.command(arguments.drivers, as_json=arguments.json)
