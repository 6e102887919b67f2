"""The agent as a process: builds sink to source, stops source to sink, and watches its threads."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import selectors
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

import msgspec

from agent import memory, messages, status
from agent.assemble import make_sensor
from agent.config import Config, read_password, unusable
from agent.health import AlreadyRunning, Lock, Notifier
from agent.inbox import Inbox
from agent.messages import AgentState, Topics
from agent.outbox import Outbox, OutboxError
from agent.publisher import BrokerOptions, Publisher, RequestError, Tls
from agent.reader import Reader
from agent.road import Road
from agent.version import tocsin_version

logger = logging.getLogger(__name__)

TURN_S = 1.0  # of the main thread
LAST_TURN_S = 0.1  # of the main thread, when it only waits for the last event to leave
AGENT_STATE_S = 30.0  # between two of the agent's own retained states, when nothing changes
STILL_S = 15.0  # a thread that has not turned for so long stands still; with a watchdog: for half of its time
READY_S = 10.0  # a sensor that takes longer to open is not waited for
READERS_STOP_S, ROAD_STOP_S, PUBLISH_STOP_S = 3.0, 10.0, 5.0
# What the system says of a path that will never do; all else (no space, read-only, input/output error) may pass.
MISTAKES = (
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.EINVAL,
    errno.ELOOP,
    errno.ENAMETOOLONG,
)
FLUSH_S = 30.0  # when all sensors have come to their end: how long the broker is waited for


def run(config: Config) -> int:
    """Listen until SIGTERM or SIGINT, or until every sensor has come to its end. Returns the exit code.

    Raises ConfigError for what only shows at start: an unreadable password.
    """
    _log_to_stderr(config.log_level)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # whoever asks before there is an answer must not end us
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(Lock(config.state_dir, config.runtime_dir / status.FILE))
            outbox = stack.enter_context(Outbox(config.state_dir / "outbox.db", config.outbox.max_size_bytes))
            daemon = Daemon(config, outbox)
        except AlreadyRunning as error:
            print(f"tocsin: {error}", file=sys.stderr)
            return 2
        except (OSError, OutboxError) as error:
            print(f"tocsin: {unusable(config.state_dir, error)}", file=sys.stderr)
            return 1 if _may_pass(error, config.state_dir) else 2
        code = daemon.run()
        if daemon.wedged:  # what it holds, an orderly end would wait for; the files are whole without one
            logging.shutdown()
            os._exit(code)
        return code


class Daemon:
    """The composition root. The main thread only watches; it owns no part of the road."""

    def __init__(self, config: Config, outbox: Outbox) -> None:
        """Raises ConfigError and OutboxError."""
        self._config, self._outbox = config, outbox
        self._topics = Topics(config.broker.prefix, config.device)
        self._publisher = Publisher(
            broker_options(config), outbox, self._topics, answer=self._answer, monitors=config.monitors
        )
        self._inbox = Inbox()
        self._readers: dict[str, Reader] = {}
        self._road = Road(config, self._inbox, outbox, self._publisher, self._readers)
        for name, sensor in config.sensors.items():
            self._readers[name] = Reader(make_sensor(sensor), self._inbox, self._road.opened)
        self._notifier = Notifier()
        self._started, self._started_at = time.monotonic(), time.time()
        self._said: tuple[object, ...] = ()
        self._said_at = 0.0
        self._ended_at: float | None = None  # monotonic, when the last sensor came to its end
        self._stopping = False
        self._asked = False
        self._crashed = threading.Event()
        self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)  # wakes the main thread
        self.wedged = False  # a thread of ours did not end

    def run(self) -> int:
        """Start everything, watch it, stop everything. The exit code."""
        signal.set_wakeup_fd(self._wake_in, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, self._signalled)
        threading.excepthook = self._thread_died
        self._publisher.start()
        self._road.start()
        for reader in self._readers.values():
            reader.start()
        logger.info(
            "tocsin %s listens on %s as %s", tocsin_version(), ", ".join(self._readers), self._topics.root
        )
        code = self._watch()
        self._notifier.tell("STOPPING=1")
        self._shut_down()
        logger.info("stopped")
        return code or int(self.wedged)

    def _watch(self) -> int:
        """Until there is a reason to stop; the exit code."""
        turn_s = min(TURN_S, (self._notifier.watchdog_s or 60.0) / 4)
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_out, selectors.EVENT_READ)
            while True:
                selector.select(turn_s if self._ended_at is None else LAST_TURN_S)
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_out, 4096)
                if self._asked:
                    self._asked = False
                    status.write(self._config.runtime_dir, self.snapshot())
                if self._road.mistake is not None:
                    print(self._road.mistake, file=sys.stderr)
                    return 2
                if self._crashed.is_set():
                    return 1
                if self._stopping or self._nothing_left():
                    return 0
                if not self._road.underway and self._ready():
                    self._road.underway = True
                    self._notifier.tell("READY=1")
                still = self.standing_still()
                if not still:
                    self._notifier.tell("WATCHDOG=1", f"STATUS={self._in_a_line()}")
                self._say_state(still)

    def _ready(self) -> bool:
        """Each sensor is listened to, or has failed for the first time, or takes too long."""
        settled = all(
            name in self._road.assembled or reader.failures for name, reader in self._readers.items()
        )
        return settled or time.monotonic() - self._started > READY_S

    def _nothing_left(self) -> bool:
        """All sensors were recordings, all have been heard to their end, and the broker has all that came of it, or
        cannot be waited for any longer."""
        now = time.monotonic()
        if self._ended_at is None:
            if all(reader.phase == "finished" for reader in self._readers.values()) and self._inbox.idle:
                self._ended_at = now
                logger.info("every sensor has come to its end: nothing is left to listen to")
            return False
        waiting = self._outbox.waiting
        if waiting and now - self._ended_at > FLUSH_S:
            logger.warning(
                "%d events wait in %s for the broker, and the next start", waiting, self._outbox.path
            )
            return True
        return not waiting

    def standing_still(self) -> str:
        """Which part of the road does not move; "" when all do. One wedged sensor is an alert, all are a stop."""
        now = time.monotonic()
        limit = self._notifier.watchdog_s / 2 if self._notifier.watchdog_s else STILL_S
        if now - self._road.beat > limit:
            return "the pipeline"
        if now - self._publisher.heartbeat > limit:
            return "the publisher"
        readers = [reader for reader in self._readers.values() if not reader.ended]
        if readers and all(reader.still_for(now, limit) for reader in readers):
            return "every sensor"
        return ""

    def snapshot(self) -> dict[str, object]:
        """All that is known, for `tocsin status` and the request "status"; any thread may ask."""
        now = time.monotonic()
        return {
            "agent": msgspec.to_builtins(self._state(self.standing_still())),
            "monitors": {name: msgspec.to_builtins(state) for name, state in list(self._road.states.items())},
            "sensors": {
                name: {
                    "driver": self._config.sensors[name].driver,
                    "phase": reader.phase,
                    "error": reader.error,
                    "failing_s": _from(reader.failing_since, now),
                    "next_try_s": _from(now, reader.next_try),
                    "rows": reader.rows,
                    "rate_hz": reader.sensor.rate_hz,
                    "delivered_hz": reader.delivered_hz(),
                    "last_reading_s": round(now - reader.heard, 1),
                    "dropped": self._inbox.dropped(name),
                    "left_out": reader.sensor.left_out(),
                }
                for name, reader in self._readers.items()
            },
        }

    def _problems(self, still: str) -> list[str]:
        """All that is not well."""
        connection = self._publisher.status
        problems = ["a thread died of the agent's own fault: see its log"] if self._crashed.is_set() else []
        problems += [f"{still} stands still"] if still else []
        problems += list(self._road.trouble.values())
        if self._outbox.set_aside:
            problems.append(f"outbox set aside: {self._outbox.set_aside}")
        if not connection.connected:
            problems.append(f"broker: {connection.last_error or 'not connected yet'}")
        for name, reader in self._readers.items():
            if reader.error:
                problems.append(f"sensor {name}: {reader.error}")
        problems += [f"monitor {name}: {why}" for name, why in self._road.deaf.items()]
        governor = self._road.governor
        problems += governor.problems if governor is not None else ()
        return problems

    def _state(self, still: str) -> AgentState:
        connection, governor, problems = self._publisher.status, self._road.governor, self._problems(still)
        return AgentState(
            time=messages.rfc3339(time.time()),
            device=self._config.device,
            version=tocsin_version(),
            started=messages.rfc3339(self._started_at),
            health="degraded" if problems else "ok",
            problems=problems,
            monitors={name: state.health for name, state in list(self._road.states.items())},
            delivered_hz={name: reader.delivered_hz() for name, reader in self._readers.items()},
            broker={
                "connected": connection.connected,
                "protocol": connection.protocol,
                "since": messages.rfc3339(connection.since),
                "last_error": connection.last_error,
                "delivered": connection.delivered,
            },
            outbox={
                "waiting": self._outbox.waiting,
                "lost": self._outbox.lost,
                "bytes": self._outbox.size_bytes,
            },
            governor=None if governor is None else governor.figures,
            counters={
                **self._road.counters,
                "cpu_seconds": round(time.process_time(), 2),
                "up_seconds": round(time.monotonic() - self._started, 1),
                "rss_bytes": memory.resident()[0],
                "sensor_failures": sum(reader.failures for reader in self._readers.values()),
            },
        )

    def _say_state(self, still: str) -> None:
        now = time.monotonic()
        health = tuple((name, state.health) for name, state in list(self._road.states.items()))
        what = (tuple(self._problems(still)), health)
        if what != self._said or now - self._said_at >= AGENT_STATE_S:
            self._said, self._said_at = what, now
            self._publisher.retain(messages.agent_state(self._state(still), self._topics))

    def _in_a_line(self) -> str:
        states = list(self._road.states.values())
        armed = sum(state.health == "armed" for state in states)
        where = "connected" if self._publisher.status.connected else "not connected"
        return f"{armed} of {len(self._config.monitors)} monitors armed, broker {where}"

    def _shut_down(self) -> None:
        for reader in self._readers.values():
            reader.stop()
        end = time.monotonic() + READERS_STOP_S
        for name, reader in self._readers.items():
            if not reader.join(max(0.0, end - time.monotonic())):
                logger.warning("sensor %s does not let go of its driver; leaving it behind", name)
        if not self._road.stop(ROAD_STOP_S):
            logger.error("the pipeline does not end; its newest state is not saved")
            self.wedged = True
        self._publisher.retain(messages.agent_state(self._state(""), self._topics))
        self._publisher.stop(PUBLISH_STOP_S)
        self.wedged |= self._publisher.alive

    def _answer(self, verb: str, request: dict[str, object]) -> object:
        if verb == "status":
            return self.snapshot()
        raise RequestError(f'no such request: {verb}; there is "status"')

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGUSR1:
            self._asked = True
        else:
            self._stopping = True

    def _thread_died(self, died: threading.ExceptHookArgs) -> None:
        """A dead thread never leaves a living process."""
        name = died.thread.name if died.thread else "?"
        logger.critical(
            "thread %s died of our own fault",
            name,
            exc_info=(died.exc_type, died.exc_value or died.exc_type(), died.exc_traceback),
        )
        self._crashed.set()
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_in, b"!")


def broker_options(config: Config) -> BrokerOptions:
    """What the publisher needs, the password read. Raises ConfigError."""
    broker = config.broker
    tls = None
    if broker.tls is not None:
        tls = Tls(ca_file=broker.tls.ca_file, cert_file=broker.tls.cert_file, key_file=broker.tls.key_file)
    return BrokerOptions(
        host=broker.host,
        port=broker.port,
        username=broker.username or "",
        password=read_password(broker) or "",
        tls=tls,
        client_id=broker.client_id,
        keepalive_s=max(1, round(broker.keepalive_s)),
        protocol=broker.protocol,
        max_inflight=broker.max_inflight,
    )


def _may_pass(error: OSError | OutboxError, folder: Path) -> bool:
    """Whether it is the disk's trouble, which may be over at the next try, rather than the user's mistake."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError):
        return cause.errno not in MISTAKES
    if any(word in str(cause or error) for word in ("full", "I/O", "out of memory")):
        return True
    try:
        disk = os.statvfs(folder)
    except OSError as another:
        return another.errno not in MISTAKES
    # SQLite says only that it could not open or write the file.
    return disk.f_bavail == 0 or 0 == disk.f_favail < disk.f_files or bool(disk.f_flag & os.ST_RDONLY)


def _log_to_stderr(level: str) -> None:
    """The journal stamps the time itself; a terminal wants it."""
    form = "%(levelname)s %(threadName)s: %(message)s"
    if "JOURNAL_STREAM" not in os.environ:
        form = "%(asctime)s " + form
    logging.basicConfig(level=level.upper(), format=form, stream=sys.stderr, force=True)


def _from(begin: float | None, end: float | None) -> float | None:
    """Seconds from one time to another, of which either may be unknown."""
    return None if begin is None or end is None else max(0.0, round(end - begin, 1))
