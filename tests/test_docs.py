"""The pages for people: their links lead somewhere, their commands run, their examples load, their figures are true."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jsonschema
import pytest
import yaml

from agent.alerts import ABOUT
from agent.cli import EXAMPLES, parser
from agent.config import load_text
from agent.messages import Topics, schemas
from sensors import DRIVERS, check
from tests.real import find

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("agent/demo/**/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
RECORDING = ROOT / "agent/demo/recordings/machine_temperature_system_failure.csv"
TUTORIAL = ROOT / "docs/tutorial.md"
QUICKER = {"speed: 60 ": "speed: 400 ", "speed: 8 ": "speed: 32 "}  # a person wants to watch, a test does not
SOON_S = 30.0


@dataclass(frozen=True)
class Block:
    """A fenced block, with the comment that stands before it."""

    page: str
    line: int
    language: str
    text: str
    mark: str  # "" without a comment

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks of a page."""
    lines = page.read_text("utf-8").splitlines()
    inside, start, language, mark = False, 0, "", ""
    for number, line in enumerate(lines):
        if line.startswith("```"):
            if inside:
                name = str(page.relative_to(ROOT))
                yield Block(name, start + 1, language, "\n".join(lines[start + 1 : number]) + "\n", mark)
                mark = ""
            inside, start, language = not inside, number, line[3:].strip()
        elif not inside and line.strip():
            comment = re.fullmatch(r"<!-- (.*) -->", line)
            mark = comment[1] if comment else ""


ALL = [block for page in PAGES for block in blocks(page)]


def of(language: str) -> list[Block]:
    return [block for block in ALL if block.language == language]


def anchors(text: str) -> set[str]:
    """The anchors GitHub makes of headings."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(found.read_text("utf-8")), f"{page.name}: {target}"


def test_the_picture_of_the_road_is_whole() -> None:
    from xml.etree import ElementTree

    root = ElementTree.parse(ROOT / "docs/road.svg").getroot()
    words = "".join(root.itertext())
    for stage in ("driver", "window", "features", "score", "level", "alert", "outbox", "broker"):
        assert stage in words


# Commands.


def commands(text: str) -> list[str]:
    """Lines that call tocsin, in fences and in the running text."""
    found = []
    for line in text.splitlines():
        spoken = line.strip().removeprefix("$ ").removeprefix("sudo ")
        if re.match(r"tocsin +[a-z]+", spoken):
            found.append(spoken)
    return found


def test_every_command_is_one() -> None:
    said = [
        command
        for block in ALL
        if block.language in ("", "console", "sh")
        for command in commands(block.text)
    ]
    for page in PAGES:
        said += re.findall(r"`(?:sudo )?(tocsin [a-z][^`]*)`", page.read_text("utf-8"))
    said += [command for text in EXAMPLES.values() for command in commands(text)]
    assert len(said) > 20
    for command in said:
        words = shlex.split(re.split(r" {2,}| \| | > |\.\.\.", command, maxsplit=1)[0], comments=True)[1:]
        try:
            parser().parse_args(words)
        except SystemExit as end:
            pytest.fail(f"{command}: not a command (exit code {end.code})")


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name])
def test_every_command_is_told_of(name: str) -> None:
    assert any(f"tocsin {name}" in page.read_text("utf-8") for page in PAGES), f"nothing is said about {name}"


# Examples.


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_every_yaml_is_right(block: Block, tmp_path: Path) -> None:
    """A configuration loads; part of one is right in its part; the others are for other programs and say so."""
    document = yaml.safe_load(block.text)
    if block.mark.startswith("for "):
        return
    if "monitors" in document and "sensors" in document:
        load_text(block.text, tmp_path / "tocsin.yaml")
    elif "sensors" in document:
        for options in document["sensors"].values():
            options.pop("silent_after", None)
            assert options["driver"] in DRIVERS
            assert check(options.pop("driver"), options) == []
    else:
        assert block.mark == "fragment", f"{block}: no configuration, and not marked as a fragment"
        whole = {"sensors": {"board": {"driver": "host"}}, "monitors": {"board": {"sensor": "board"}}}
        load_text(yaml.safe_dump({**whole, **document}), tmp_path / "tocsin.yaml")


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_every_payload_is_one(block: Block) -> None:
    payload = json.loads(block.text)
    if block.mark.startswith("payload: "):
        jsonschema.validate(payload, schemas()[block.mark.removeprefix("payload: ")])


def test_every_topic_of_an_alert_is_in_the_table() -> None:
    text = (ROOT / "docs/alerts.md").read_text("utf-8")
    topics = Topics("<prefix>", "<device>")
    for about in ABOUT:
        assert f"| `{topics.alert('<monitor>', about)}` |" in text


# Figures.


def test_what_the_readme_says_of_the_real_machine_is_what_a_replay_says(tmp_path: Path) -> None:
    said = tocsin(
        tmp_path, "replay", str(RECORDING), "--labels", str(RECORDING.parent / "labels.json"), "--json"
    )
    labels = json.loads(said.stdout)["labels"]
    text = (ROOT / "README.md").read_text("utf-8")
    claimed = re.search(r"furnace \(real\): (\d) of (\d) labelled anomalies", text)
    false = re.search(r"false alarms \(outside every window\): (\d+) in 79 days", text)
    assert claimed is not None
    assert false is not None
    assert (labels["hits"], labels["windows"]) == (int(claimed[1]), int(claimed[2]))
    assert labels["false_alarms"] == int(false[1])
    shares = [int(share) for share in re.findall(r"heard (\d+) % into the window", text)]
    windows_s = 47 * 3600 + 600  # each of the four; labels.json
    assert [round(100 * delay / windows_s) for delay in labels["delays_s"] if delay is not None] == shares


# The tutorial.


@dataclass
class Terminals:
    """Runs the commands of a page in a folder, some of them in the background."""

    folder: Path
    port: int
    running: list[tuple[subprocess.Popen[bytes], Path, Block]] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join(
            [str(Path(sys.executable).parent), str(shims(self.folder)), os.environ["PATH"]]
        )
        return {**os.environ, "PATH": path + ":/usr/sbin:/sbin", "PYTHONUNBUFFERED": "1"}

    def fitted(self, text: str) -> str:
        """For this computer: a port that is free, and no waiting."""
        for before, after in QUICKER.items():
            text = text.replace(before, after)
        return text.replace("18830", str(self.port))

    def start(self, block: Block, command: str) -> None:
        heard = self.folder / f"heard-{len(self.running)}"
        with heard.open("wb") as out:
            process = subprocess.Popen(
                shlex.split(command),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env=self.environment(),
            )
        self.running.append((process, heard, block))
        if "mosquitto " in command:
            wait_until(self.answers, f"{command} does not answer")

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def run(self, command: str, block: Block) -> str:
        """What it says. An agent that has only just begun is asked again, until it says what the page does."""
        end = time.monotonic() + SOON_S
        while True:
            done = subprocess.run(
                ["sh", "-c", command],
                capture_output=True,
                text=True,
                cwd=self.folder,
                env=self.environment(),
                timeout=60,
                check=False,
            )
            said = done.stdout + done.stderr
            again = command.startswith("tocsin status") and time.monotonic() < end
            if done.returncode == 0 and not (again and unsaid(self.fitted(block.text), said)):
                return said
            assert again, f"{block}: {command}: exit code {done.returncode}: {said}"
            time.sleep(0.05)

    def settle(self) -> None:
        """Every command in the background has said what the page says it does."""
        for _, heard, block in self.running:
            sought = block.mark.partition("until: ")[2]
            if sought:
                wait_until(lambda: sought in heard.read_text(), f"{block}: {sought} was not heard")  # noqa: B023
                compare(block, self.fitted(block.text), heard.read_text())

    def stop(self) -> None:
        for process, _, _ in reversed(self.running):
            process.kill()
            process.communicate()


def unsaid(text: str, said: str) -> list[str]:
    """Lines of a page, but for the commands, that were not said; "..." is anything."""
    lines = [line for line in text.splitlines() if line.strip() not in ("", "...") and line[:2] != "$ "]
    patterns = {line: ".*".join(re.escape(part) for part in line.split("...")) for line in lines}
    return [line for line in lines if not re.search(f"^{patterns[line]}$", said, re.MULTILINE)]


def compare(block: Block, text: str, said: str) -> None:
    """All that the page shows was said."""
    assert unsaid(text, said) == [], f"{block}: not said, but: {said}"


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    terminals = Terminals(tmp_path, free_port())
    try:
        for block in blocks(TUTORIAL):
            text = terminals.fitted(block.text)
            if block.mark.startswith("file: "):
                (tmp_path / block.mark.removeprefix("file: ")).write_text(text)
            elif block.language == "console":
                asked = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
                if block.mark.startswith("in the background"):
                    terminals.start(block, asked[0])
                    continue
                compare(block, text, "".join([terminals.run(command, block) for command in asked]))
        terminals.settle()
    finally:
        terminals.stop()


def tocsin(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=True)


def shims(folder: Path) -> Path:
    """Stand-ins for Mosquitto's two programs, where they are not installed."""
    made = folder / "programs"
    if made.exists():
        return made
    made.mkdir()
    programs = {"tocsin": TOCSIN}
    if find("mosquitto") is None:
        programs["mosquitto"] = BROKER
    if find("mosquitto_sub") is None:
        programs["mosquitto_sub"] = SUBSCRIBER
    for name, text in programs.items():
        (made / name).write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n{text}")
        (made / name).chmod(0o755)
    return made


TOCSIN = """\
from agent.cli import main
raise SystemExit(main())
"""
BROKER = """\
from agent.demo.broker import main
raise SystemExit(main(["--port", sys.argv[2]]))
"""
SUBSCRIBER = """\
from paho.mqtt.client import CallbackAPIVersion, Client
port, topic = int(sys.argv[2]), sys.argv[-1]
client = Client(CallbackAPIVersion.VERSION2)
client.on_connect = lambda *_: client.subscribe(topic, qos=0)
client.on_message = lambda _client, _data, m: print(m.topic, m.payload.decode(), flush=True)
client.connect("localhost", port)
client.loop_forever()
"""


def free_port() -> int:
    """One that no outgoing connection can hold: below those that Linux gives to these (ip(7))."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def wait_until(claim: object, otherwise: str) -> None:
    assert callable(claim)
    end = time.monotonic() + SOON_S
    while not claim():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)
