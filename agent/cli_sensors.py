"""The commands about sensors, parsed; what each needs is imported when it runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.config import Config

CONFIG = "/etc/tocsin/tocsin.yaml"
EXAMPLES = {
    "init": """
  tocsin init                          print a configuration of what this machine has
  tocsin init -o tocsin.yaml
  tocsin init -o tocsin.yaml --broker broker.lan
""",
    "record": """
  tocsin record                        every sensor, until Ctrl-C
  tocsin record pump --for '10 min'
  tocsin record --form parquet --out /media/usb --keep '30 GB'
""",
    "watch": """
  tocsin watch pump                    live in the terminal, until q
  tocsin watch board --for '10 s' > lines.txt
""",
    "doctor": """
  tocsin doctor                        what is wrong with this machine, and what mends it
  tocsin doctor -c tocsin.yaml --json | jq .findings
""",
    "sensors": """
  tocsin sensors                       which drivers there are, and what is on this machine
  tocsin sensors host recording        what these can be told
  tocsin sensors --json | jq .found
""",
}

Command = Callable[[argparse.Namespace], int]
Read = Callable[[argparse.Namespace], "Config"]
Add = Callable[[str, Command, str], argparse.ArgumentParser]


def add(add: Add, config: Read) -> list[argparse.ArgumentParser]:
    """Give the commands to the parser of all; those that are told a configuration, which `config` reads."""
    init = add("init", _init, "look at what this machine has, and write an annotated configuration of it")
    init.add_argument("-o", "--out", metavar="FILE", help="write it there instead of on standard output")
    init.add_argument("--force", action="store_true", help="replace FILE if it exists")
    init.add_argument(
        "--broker",
        metavar="HOST[:PORT]",
        default="localhost",
        help="the broker to write into it, and to try (default: localhost)",
    )
    record = add(
        "record", lambda arguments: _record(arguments, config), "write what the sensors give into recordings"
    )
    record.add_argument("sensors", metavar="SENSOR", nargs="*", help="which; default: all")
    record.add_argument(
        "--out", metavar="DIR", default="recordings", help="the folder to write into (default: recordings)"
    )
    record.add_argument("--form", choices=("npz", "parquet", "csv"), default="npz", help="default: npz")
    record.add_argument("--for", dest="lasting", metavar="DURATION", help='end after so long: "10 min"')
    record.add_argument(
        "--size", metavar="SIZE", default="64 MB", help='begin a new file at this size (default: "64 MB")'
    )
    record.add_argument("--every", metavar="DURATION", help='begin a new file after so long: "1 h"')
    record.add_argument(
        "--keep",
        metavar="SIZE",
        default="1 GB",
        help='most of all recordings in the folder; the oldest go (default: "1 GB")',
    )
    watch = add("watch", lambda arguments: _watch(arguments, config), "show a sensor live in the terminal")
    watch.add_argument("sensor", metavar="SENSOR", nargs="?", help="which; default: the only one there is")
    watch.add_argument("--for", dest="lasting", metavar="DURATION", help='end after so long: "10 s"')
    doctor = add(
        "doctor", _doctor, "look for what could keep the agent from its work here, and say what mends it"
    )
    sensors = add("sensors", _sensors, "list the drivers, their options, and what is found on this machine")
    sensors.add_argument("drivers", metavar="DRIVER", nargs="*", help="tell the options of these")
    for telling in (record, doctor, sensors):
        telling.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return [record, watch, doctor]


def _init(arguments: argparse.Namespace) -> int:
    from agent import starter

    return starter.command(arguments.out, force=arguments.force, broker=arguments.broker)


def _record(arguments: argparse.Namespace, config: Read) -> int:
    told = config(arguments)
    from agent import record

    return record.command(
        told,
        arguments.sensors,
        folder=arguments.out,
        form=arguments.form,
        lasting=arguments.lasting,
        file_size=arguments.size,
        file_span=arguments.every,
        keep=arguments.keep,
        as_json=arguments.json,
    )


def _watch(arguments: argparse.Namespace, config: Read) -> int:
    told = None if arguments.config is None and not os.access(CONFIG, os.F_OK) else config(arguments)
    from agent import watch

    return watch.command(told, arguments.sensor, lasting=arguments.lasting)


def _doctor(arguments: argparse.Namespace) -> int:
    from agent import doctor

    return doctor.command(arguments.config, as_json=arguments.json)


def _sensors(arguments: argparse.Namespace) -> int:
    from agent import drivers

    return drivers.command(arguments.drivers, as_json=arguments.json)
