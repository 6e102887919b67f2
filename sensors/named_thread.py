"""A thread whose name the kernel knows too, so that `top -H` tells what each sensor costs."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

LONGEST = 15  # bytes that the kernel keeps: TASK_COMM_LEN of include/linux/sched.h, less the zero at the end


class NamedThread(threading.Thread):
    """Python does this by itself from 3.14 on. Threads that a library starts in this one inherit the name."""

    def run(self) -> None:
        with contextlib.suppress(OSError):  # a kernel without /proc: the name is only for who looks
            comm = Path(f"/proc/self/task/{threading.get_native_id()}/comm")
            comm.write_bytes(self.name.encode("ascii", "replace")[:LONGEST])
        super().run()
