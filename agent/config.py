"""The whole configuration as frozen structs, read from YAML with every mistake reported at once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from agent.budgets_config import BudgetsConfig
from agent.cross_checks import check_sections, cross_check
from agent.forms import About, Frozen, Walk
from agent.monitor_config import MonitorConfig
from agent.names import EntryName, Host, Name, Prefix, host_name
from agent.quantities import DURATION, SIZE
from agent.yaml_lines import Located, Mistake, alternatives, merge, quoted, read

DEFAULT_PATH = Path("/etc/tocsin/tocsin.yaml")
DEFAULT_STATE = Path("/var/lib/tocsin")
MOST_BYTES = 1_000_000  # of one file; a configuration of 1,000 monitors has 200 KB
MOST_DOUBLED = 20  # things defined twice of which the hidden definition is looked through too


class ConfigError(Exception):
    """Everything that is wrong with a configuration, one line each."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(self.mistakes)

    def __str__(self) -> str:
        return "\n".join(str(mistake) for mistake in self.mistakes)


class TlsConfig(Frozen, frozen=True, kw_only=True):
    """How the broker proves who it is, and we who we are. The broker's certificate is always checked."""

    ca_file: Annotated[
        Path | None, About("Certificates to trust (PEM).", default="those the system trusts")
    ] = None
    cert_file: Annotated[
        Path | None, About("Our certificate (PEM), where the broker asks for one.", default="none")
    ] = None
    key_file: Annotated[Path | None, About("The key of `cert_file` (PEM).", default="none")] = None


class BrokerConfig(Frozen, frozen=True, kw_only=True):
    """The MQTT broker that hears the alerts."""

    refused: ClassVar[dict[str, str]] = {
        "password": "a password does not belong in this file: put it into a file of its own and name that "
        "with password_file, or an environment variable with password_env",
    }

    host: Annotated[str, Host(), About("Name or address of the broker.")] = "localhost"
    port: Annotated[
        int, About("Port of the broker.", default="1883; 8883 with `tls`", least=1, most=65535)
    ] = 0  # load() fills it
    username: Annotated[str | None, About("Name to log in with.", default="none")] = None
    password_file: Annotated[
        Path | None,
        About("File whose first line is the password, e.g. a systemd credential.", default="none"),
    ] = None
    password_env: Annotated[
        str | None, About("Environment variable that holds the password.", default="none")
    ] = None
    tls: Annotated[
        TlsConfig | None, About("Encrypt: `true`, or the files below.", default="`false`", role="switch")
    ] = None
    client_id: Annotated[
        str,
        About("Name of this client at the broker; no other client may have it.", default="`tocsin-<device>`"),
    ] = ""  # load() fills it
    prefix: Annotated[str, Prefix(), About("What all topics begin with.")] = "tocsin"
    keepalive_s: Annotated[
        float,
        DURATION,
        About("The broker calls us offline after 1.5 times as long without a word.", least=1, most=64_800),
    ] = 30.0
    protocol: Annotated[
        Literal["auto", "5", "3.1.1"], About("Version of MQTT; `auto` tries 5, then 3.1.1.")
    ] = "auto"
    max_inflight: Annotated[
        int, About("Messages sent before the first is confirmed.", least=1, most=65535)
    ] = 20


class OutboxConfig(Frozen, frozen=True, kw_only=True):
    """The messages on disk that the broker has not confirmed yet."""

    max_size_bytes: Annotated[
        int,
        SIZE,
        About("Largest size; when it is full states go first, alerts last.", least=256_000, most=1e12),
    ] = 16_000_000


class EvidenceConfig(Frozen, frozen=True, kw_only=True):
    """What was heard before and after an alert, in files on disk for `tocsin explain`."""

    max_size_bytes: Annotated[
        int,
        SIZE,
        About("Largest size of all files; the oldest go. `0 MB`: nothing is kept.", least=0, most=1e12),
    ] = 64_000_000
    max_files: Annotated[int, About("Most files; the oldest go.", least=1, most=100_000)] = 1000
    memory_bytes: Annotated[
        int,
        SIZE,
        About(
            "Memory in which each monitor keeps the newest that it heard; days of normal, for what creeps, take up to "
            "a quarter as much more for each operating state.",
            least=4_000,
            most=100_000_000,
        ),
    ] = 256_000


class SensorConfig(Frozen, frozen=True, kw_only=True):
    """A source of samples. All other keys are the driver's options."""

    name: Annotated[str, About("", role="name")] = ""
    driver: Annotated[str, About("Which driver reads it; `tocsin sensors` lists them.")]
    silent_after_s: Annotated[
        float | None,
        DURATION,
        About("Alert when it gave nothing for so long.", default="30 s, or 10 readings if longer", least=0.1),
    ] = None
    options: Annotated[dict[str, Any], About("", role="rest")] = msgspec.field(default_factory=dict)

    def silence_s(self, period_s: float) -> float:
        """How long the sensor may be silent, in seconds, when it gives a reading each `period_s`."""
        return self.silent_after_s if self.silent_after_s is not None else max(30.0, 10 * period_s)

    @property
    def replayed(self) -> bool:
        """Whether it begins anew at each start: a recording, or recordings that are joined."""
        return _replayed({"driver": self.driver, **self.options})


def _replayed(source: object) -> bool:
    if not isinstance(source, dict):
        return False
    parts = source.get("of")
    if source.get("driver") == "join" and isinstance(parts, dict):
        return all(map(_replayed, parts.values()))
    return source.get("driver") == "recording"


class Config(Frozen, frozen=True, kw_only=True):
    """The agent as a whole."""

    device: Annotated[
        str, Name(), About("Name of this device in every topic.", default="this host's name")
    ] = ""
    broker: Annotated[BrokerConfig, About("The MQTT broker.")] = BrokerConfig()
    state_dir: Annotated[Path, About("Folder of everything the agent writes.")] = DEFAULT_STATE
    runtime_dir: Annotated[
        Path,
        About(
            "Folder of the file `status.json`, in which the agent answers `tocsin status`.",
            default="`$RUNTIME_DIRECTORY`, or `<state_dir>/run`",
        ),
    ] = Path()
    outbox: Annotated[OutboxConfig, About("The messages on disk.")] = OutboxConfig()
    evidence: Annotated[EvidenceConfig, About("What an alert keeps of what was heard.")] = EvidenceConfig()
    budgets: Annotated[
        BudgetsConfig | None,
        About(
            "What the agent may use: `true`, or the settings below; without them every monitor looks at everything.",
            default="`false`",
            role="switch",
        ),
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], About("Least weight of what is logged.")
    ] = "info"
    sensors: Annotated[dict[Annotated[str, EntryName()], SensorConfig], About("The sources, by name.")] = (
        msgspec.field(default_factory=dict)
    )
    monitors: Annotated[
        dict[Annotated[str, EntryName()], MonitorConfig], About("What is listened for, by name.")
    ] = msgspec.field(default_factory=dict)


def load(path: str | Path = DEFAULT_PATH, *, monitors: bool = True) -> Config:
    """The configuration in `path` and the files of the folder beside it (tocsin.yaml: tocsin.d/*.yaml). Without
    `monitors` it need have none: who looks at sensors alone has not come to them yet.

    Raises ConfigError with every mistake in all of them.
    """
    path = Path(path)
    mistakes: list[Mistake] = []
    folders: dict[str, Path] = {}
    documents: list[Located] = []
    for file in (path, *_more(path)):
        shown = file.name or str(file) if file is path else f"{file.parent.name}/{file.name}"
        folders[shown] = file.parent.absolute()
        text = _text(file, shown, mistakes)
        document = read(text, shown, mistakes) if text is not None else None
        if document is not None:
            documents.append(document)
    return _config(documents, path.name, folders, mistakes, monitors)


def load_text(text: str | bytes, where: str | Path = "tocsin.yaml") -> Config:
    """The configuration in `text`; paths in it start at the folder of `where`. Raises ConfigError."""
    mistakes: list[Mistake] = []
    where = Path(where)
    document = read(text, where.name, mistakes)
    documents = [] if document is None else [document]
    return _config(documents, where.name, {where.name: where.parent.absolute()}, mistakes)


def _more(path: Path) -> list[Path]:
    if not path.name:  # ".", which is told to be a folder when it is read
        return []
    folder = path.with_suffix(".d")
    names = sorted(folder.iterdir()) if folder.is_dir() else []
    return [file for file in names if file.suffix in (".yaml", ".yml") and not file.name.startswith(".")]


def _text(file: Path, shown: str, mistakes: list[Mistake]) -> bytes | None:
    try:
        with file.open("rb") as opened:
            text = opened.read(MOST_BYTES + 1)
    except FileNotFoundError:
        here = Path("tocsin.yaml").is_file()
        mend = "there is a tocsin.yaml here: -c tocsin.yaml" if here else 'make one with "tocsin init"'
        mistakes.append(Mistake(shown, 0, "", f"no such file: {file} ({mend})"))
        return None
    except OSError as error:
        mistakes.append(Mistake(shown, 0, "", f"cannot be read: {error.strerror}"))
        return None
    if len(text) > MOST_BYTES:
        mistakes.append(Mistake(shown, 0, "", f"is larger than {MOST_BYTES} bytes"))
        return None
    return text


def _config(
    documents: list[Located],
    main: str,
    folders: dict[str, Path],
    mistakes: list[Mistake],
    monitors: bool = True,
) -> Config:
    """The documents merged, walked and checked. Raises ConfigError."""
    if not documents and not mistakes:
        mistakes.append(Mistake(main, 0, "", 'is empty: "tocsin init" writes one to start from'))
    elif not documents:
        raise ConfigError(mistakes)
    whole = documents[0] if documents else Located({}, main, 0)
    for document in documents[1:]:
        if not isinstance(document.value, dict):
            Walk(mistakes, folders).struct(Config, document)
        whole = merge(whole, document, mistakes, ("sensors", "monitors"))
    config = _checked(whole, folders, mistakes, monitors)
    for other, places in islice(alternatives(whole), MOST_DOUBLED):
        more: list[Mistake] = []
        _checked(other, folders, more, monitors)
        mistakes += [mistake for mistake in more if (mistake.file, mistake.line) in places]
    if mistakes or config is None:
        order = {file: index for index, file in enumerate(folders)}
        raise ConfigError(sorted(set(mistakes), key=lambda m: (order.get(m.file, 0), m.line, m.path)))
    return config


def _checked(
    whole: Located, folders: dict[str, Path], mistakes: list[Mistake], monitors: bool
) -> Config | None:
    config = Walk(mistakes, folders).struct(Config, whole)
    if config is None:
        return None
    check_sections(whole, mistakes, monitors=monitors)
    return cross_check(_filled(config), whole, folders, mistakes)


def _filled(config: Config) -> Config:
    """The configuration with the defaults that depend on other settings or on this host."""
    device = config.device or host_name()
    broker = config.broker
    broker = msgspec.structs.replace(
        broker,
        port=broker.port or (8883 if broker.tls else 1883),
        client_id=broker.client_id or f"tocsin-{device}",
    )
    runtime_dir = config.runtime_dir
    if runtime_dir == Path():
        from_systemd = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
        runtime_dir = Path(from_systemd) if from_systemd else config.state_dir / "run"
    return msgspec.structs.replace(config, device=device, broker=broker, runtime_dir=runtime_dir)


def unusable(state_dir: Path, why: object) -> str:
    """The words for a state_dir that cannot be written."""
    mend = (
        ': write "state_dir: state" for a folder beside the configuration'
        if state_dir == DEFAULT_STATE
        else ""
    )
    return f"state_dir {state_dir} cannot be used: {why}{mend}"


def read_password(broker: BrokerConfig) -> str | None:
    """The broker's password from its file or variable; None where there is none. Raises ConfigError."""
    if broker.password_env is not None:
        password = os.environ.get(broker.password_env)
        if not password:
            message = f"{quoted(broker.password_env)} is an environment variable that is not set, or empty"
            raise ConfigError([Mistake("", 0, "broker.password_env", message)])
        return password
    if broker.password_file is None:
        return None
    try:
        lines = broker.password_file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        message = f"{quoted(str(broker.password_file))} cannot be read: {why}"
        raise ConfigError([Mistake("", 0, "broker.password_file", message)]) from None
    if not lines or not lines[0]:
        message = f"{quoted(str(broker.password_file))} is empty: its first line must be the password"
        raise ConfigError([Mistake("", 0, "broker.password_file", message)])
    return lines[0]
