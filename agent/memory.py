"""Memory that only start-up needed, given back: library code that ran once, and free blocks of the heap."""

from __future__ import annotations

import ctypes
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ +(/.*)$")

CLEAN = re.compile(r"^(?:Private_Dirty|Anonymous): +0 kB$", re.M)


def release() -> None:
    """Unmap the pages of code that was run so far, and trim the heap.

    Loading libraries, building sessions and learning touch about 20 MB of code that scoring never runs again. It is
    read-only and backed by files: the kernel could take it back at any time, and reads again what is needed after all.
    Does nothing where /proc or the C library does not offer it.
    """
    libc = ctypes.CDLL(None)
    for start, stop in _code():
        libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(stop - start), mmap.MADV_DONTNEED)
    if hasattr(libc, "malloc_trim"):  # glibc
        libc.malloc_trim(ctypes.c_size_t(0))


def _code() -> Iterator[tuple[int, int]]:
    """Executable mappings of files that nothing has written to: what is dropped comes back as it was."""
    try:
        text = Path("/proc/self/smaps").read_text()
    except OSError:
        return
    for block in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", text):
        head, _, body = block.partition("\n")
        mapping = MAPPING.match(head)
        if mapping and mapping[3] == "r-xp" and len(CLEAN.findall(body)) == 2:
            yield int(mapping[1], 16), int(mapping[2], 16)


def resident() -> tuple[int, int]:
    """Bytes of this process in memory now, and those of them that no file backs; (0, 0) where unknown."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0, 0
    figures = {key: int(value) * 1024 for key, value in re.findall(r"^(\w+):\s+(\d+) kB$", status, re.M)}
    return figures.get("VmRSS", 0), figures.get("RssAnon", 0)
