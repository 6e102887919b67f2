"""`tocsin sensors`: which drivers there are, what they are told, and what they find on this machine."""

from __future__ import annotations

import inspect
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from agent import extras
from agent.hints import hints
from agent.recordings import Refusal, unknown
from agent.yaml_lines import flow, printable
from sensors import registry
from sensors.base import Found
from sensors.plugins import PluginError, plugins
from sensors.registry import OptionDoc

NARROWEST, WIDEST = 60, 110  # columns of text


class DriverReport(msgspec.Struct, kw_only=True):
    """A driver, and whether it can be used as things are."""

    name: str
    reads: str = ""
    package: str = ""  # of a plug-in
    options: list[OptionDoc] = []
    lacks: list[str] = []  # packages
    install: str = ""  # the command that brings them
    broken: str = ""  # why it cannot be used at all


class FoundReport(msgspec.Struct, kw_only=True):
    """Something that can be read here."""

    name: str
    driver: str
    what: str
    options: dict[str, object]
    note: str = ""


class Report(msgspec.Struct, kw_only=True, tag_field="schema", tag="tocsin.sensors/1"):
    """All drivers, all that they found, and what went wrong as they looked."""

    drivers: list[DriverReport]
    found: list[FoundReport]
    also_here: list[str] = []  # what could be listened to, once a driver is told more
    problems: list[str]


def command(drivers: Sequence[str], *, as_json: bool, root: Path = Path("/")) -> int:
    """All drivers and what is here; or some drivers with their options. Raises Refusal for an unknown one."""
    for name in drivers:
        if not registry.known(name):
            raise Refusal(unknown("driver", name, registry.names()))
    found, problems = ([], []) if drivers else registry.find(root)
    report = Report(
        drivers=[describe(name) for name in drivers or registry.names()],
        found=[_found(one) for one in found],
        also_here=[] if drivers else hints(root),
        problems=problems,
    )
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(report, enc_hook=str)).decode())
        return 0
    width = min(WIDEST, max(NARROWEST, shutil.get_terminal_size((WIDEST, 24)).columns))
    lines = _options(report, width) if drivers else _overview(report, width)
    print("\n".join(printable(line) for line in lines))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 0


def describe(name: str) -> DriverReport:
    """What is known of one driver, without opening anything."""
    package = "" if name in registry.DRIVERS else plugins()[name][0].package
    try:
        cls = registry.load(name)
        options = registry.describe(name)
    except PluginError as error:
        return DriverReport(name=name, package=package, broken=str(error))
    extra = extra_of(name)
    lacks = [] if package else extras.lacking(extra)
    return DriverReport(
        name=name,
        reads=(inspect.getdoc(cls) or "").partition("\n")[0],
        package=package,
        options=options,
        lacks=lacks,
        install=extras.command(extra) if lacks else "",
    )


def extra_of(driver: str) -> str:
    """The extra that a driver needs; one of its own name, where it does not say."""
    return registry.load(driver).extra or driver


def _found(one: Found) -> FoundReport:
    return FoundReport(
        name=one.name, driver=one.driver, what=one.what, options=dict(one.options), note=one.note
    )


def _overview(report: Report, width: int) -> Iterator[str]:
    yield "Drivers (their options: tocsin sensors NAME):"
    yield ""
    longest = max(len(driver.name) for driver in report.drivers)
    for driver in report.drivers:
        yield from _hang(f"  {driver.name:<{longest}}  ", _about(driver), width)
        if driver.lacks:
            yield from _hang(" " * (longest + 4), f"not installed: {driver.install}", width)
    yield ""
    writes = " (tocsin init writes a configuration of it):" if report.found else ": nothing"
    yield f"Found on this machine{writes}"
    for one in report.found:
        yield ""
        yield f"  {one.name}: {one.what}"
        yield f"    {flow({'driver': one.driver, **one.options})}"
        if one.note:
            yield from _hang("    first: ", one.note, width)
    if report.also_here:
        yield ""
        yield "Also here; what their drivers must be told besides, docs/drivers.md says:"
        for line in report.also_here:
            yield from _hang("  ", line, width)


def _options(report: Report, width: int) -> Iterator[str]:
    for i, driver in enumerate(report.drivers):
        if i:
            yield ""
        yield from _hang(f"{driver.name}: ", _about(driver), width)
        if driver.lacks:
            yield f"  not installed: {driver.install}"
        yield from _rows(driver.options, width)
        for option in driver.options:
            if option.fields:
                yield f"  {option.name} in turn:"
                yield from _rows(option.fields, width)


def _rows(options: Sequence[OptionDoc], width: int) -> Iterator[str]:
    for option in options:
        given = "must be given" if option.required else f"default {_default(option)}"
        yield from _hang(f"  {option.name}: ", f"{option.type} ({given})", width, 6)
        yield from _hang(" " * 6, option.doc, width, 6)


def _default(option: OptionDoc) -> str:
    if option.default is None or option.default == ():
        return "none"
    return str(option.default).lower() if isinstance(option.default, bool) else str(option.default)


def _about(driver: DriverReport) -> str:
    return driver.broken or driver.reads + (f" From {driver.package}." if driver.package else "")


def _hang(start: str, text: str, width: int, indent: int | None = None) -> list[str]:
    """The text behind its start, and its further lines under it."""
    deeper = " " * (len(start) if indent is None else indent)
    return textwrap.wrap(
        start + text, width, subsequent_indent=deeper, break_long_words=False, break_on_hyphens=False
    ) or [start]
