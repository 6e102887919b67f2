"""A control group with a bound on memory and a share of a core: version 1 or 2, whichever this kernel has mounted."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from tests.real import need_root, require

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000


class Cgroup:
    """A context manager; `enter` is the Python that a process runs first, so that all its memory counts."""

    def __init__(self, name: str, *, memory_bytes: int, cores: float) -> None:
        need_root()
        self._unified = (ROOT / "cgroup.controllers").exists()
        parts = ("",) if self._unified else ("memory", "cpu")
        self._folders = [ROOT / part / name for part in parts]
        self._memory, self._cores = memory_bytes, cores

    def __enter__(self) -> Cgroup:
        quota = str(round(self._cores * PERIOD_US))
        try:
            if self._unified:
                (ROOT / "cgroup.subtree_control").write_text("+memory +cpu")
            for folder in self._folders:
                folder.mkdir(exist_ok=True)
            if self._unified:
                self._write("memory.max", str(self._memory))
                self._write("cpu.max", f"{quota} {PERIOD_US}")
            else:
                self._write("memory.limit_in_bytes", str(self._memory))
                self._write("cpu.cfs_period_us", str(PERIOD_US))
                self._write("cpu.cfs_quota_us", quota)
        except OSError as error:
            require(False, f"no control group can be made here: {error}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for folder in self._folders:
            for _ in range(50):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:  # a process is still on its way out
                    time.sleep(0.1)
                else:
                    break

    @property
    def enter(self) -> str:
        files = [str(folder / "cgroup.procs") for folder in self._folders]
        return f"for name in {files!r}: open(name, 'w').write('0')"

    @property
    def peak_bytes(self) -> int:
        """The most memory that was ever in use, page cache that could be given back included."""
        name = "memory.peak" if self._unified else "memory.max_usage_in_bytes"
        return int(self._read(name))

    @property
    def killed(self) -> int:
        """Processes that the kernel killed for want of memory."""
        name = "memory.events" if self._unified else "memory.oom_control"
        lines = dict(line.split() for line in self._read(name).splitlines())
        return int(lines["oom_kill"])

    @property
    def throttled_s(self) -> float:
        """For how long somebody in here wanted more than the share of a core."""
        lines = dict(line.split() for line in self._read("cpu.stat").splitlines())
        return int(lines["throttled_usec"]) / 1e6 if self._unified else int(lines["throttled_time"]) / 1e9

    def _write(self, name: str, text: str) -> None:
        self._file(name).write_text(text)

    def _read(self, name: str) -> str:
        return self._file(name).read_text()

    def _file(self, name: str) -> Path:
        return next(folder / name for folder in self._folders if (folder / name).exists())
