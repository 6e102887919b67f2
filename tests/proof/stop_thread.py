"""A thread that hangs, from outside: `stop_thread.py TID` stops that one thread until this program or the thread ends.

ptrace(2): the other threads of the process go on. What runs in the machine is this file alone: standard library only.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207  # linux/ptrace.h
WALL = 0x40000000  # __WALL: wait for threads too


def main(tid: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    while Path(f"/proc/{tid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
        time.sleep(0.001)  # in the middle of its work it would hold Python's lock, and all would stop with it
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if libc.ptrace(request, tid, None, None):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    while True:
        _, status = os.waitpid(tid, WALL)
        if not os.WIFSTOPPED(status):
            return 0
        print("stopped", flush=True)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
