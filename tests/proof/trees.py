"""Debian trees to prove the agent in, built once and kept under .proof/."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from tests.real import need, need_root

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".proof"
BOOTED = "systemd,systemd-sysv,dbus,udev,python3,python3-venv,procps,mosquitto,mosquitto-clients"
EMULATED = "python3,libpython3-stdlib,base-files,libstdc++6,ca-certificates,dash,coreutils"
LINKS = """for d in bin sbin lib; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done"""


def booted_tree() -> Path:
    """Debian 12 with systemd, Python 3.11 and Mosquitto, for this machine's processor."""
    need_root()
    tree = KEPT / "debian-12"
    if not tree.exists():
        debootstrap = need("debootstrap")
        partial = _partial(tree)
        say([debootstrap, "--variant=minbase", f"--include={BOOTED}", "bookworm", str(partial)])
        partial.rename(tree)
    return tree


def emulated_tree() -> Path:
    """Debian 13 with Python 3.13 for aarch64: nothing runs emulated while it is built."""
    need_root()
    tree = KEPT / "debian-13-aarch64"
    if not tree.exists():
        mmdebstrap = need("mmdebstrap")
        enable_emulation()
        partial = _partial(tree)
        options = ["--arch=arm64", "--variant=extract", f"--setup-hook={LINKS}", f"--include={EMULATED}"]
        say([mmdebstrap, "-q", *options, "trixie", str(partial)])
        for mount_point in ("proc", "sys", "dev", "tmp"):
            (partial / mount_point).mkdir(exist_ok=True)
        partial.rename(tree)
    return tree


def enable_emulation() -> None:
    """Let the kernel start aarch64 programs through qemu."""
    need("qemu-aarch64-static")
    formats = Path("/proc/sys/fs/binfmt_misc")
    if not (formats / "register").exists():
        say(["mount", "-t", "binfmt_misc", "binfmt_misc", str(formats)])
    if not (formats / "qemu-aarch64").exists():
        say([need("update-binfmts"), "--enable", "qemu-aarch64"])


def fresh_copy(tree: Path, name: str) -> Path:
    """A copy to install into, without what an earlier proof left behind."""
    copy = KEPT / name
    shutil.rmtree(copy, ignore_errors=True)
    say(["cp", "-a", "--reflink=auto", str(tree), str(copy)])
    return copy


def own_wheel() -> Path:
    """The wheel of this checkout, built from a copy so that nothing is written here."""
    source, made = KEPT / "source", KEPT / "wheel"
    for folder in (source, made):
        shutil.rmtree(folder, ignore_errors=True)
    source.mkdir(parents=True)
    for part in ("agent", "sensors", "models"):
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, source / part)
    say([sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--wheel-dir", str(made), str(source)])
    (wheel,) = made.glob("tocsin-*.whl")
    return wheel


def wheels(python: str, machine: str = "") -> Path:
    """A folder with the wheels of everything the agent needs on that Python and processor, and with its own.

    The versions are the tested ones; what was downloaded before is used again.
    """
    machine = machine or platform.machine()
    kept, folder = KEPT / f"downloads-{machine}", KEPT / f"wheels-{python}-{machine}"
    shutil.rmtree(folder, ignore_errors=True)
    own = own_wheel()
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in (28, 27, 17)] + [f"manylinux2014_{machine}"]
    say(
        [sys.executable, "-m", "pip", "download", "-qq", "--dest", str(folder), "--only-binary=:all:"]
        + ["-c", str(ROOT / "constraints.txt")]
        + [f"--platform={name}" for name in platforms]
        + ["--implementation=cp", f"--python-version={python}", f"--find-links={kept}", str(own)]
    )
    kept.mkdir(exist_ok=True)
    for wheel in folder.glob("*.whl"):
        if wheel.name != own.name:
            shutil.copy(wheel, kept)
    shutil.copy(own, folder)
    return folder


def say(command: list[str]) -> str:
    """Run it; its output. What it said is told when it fails."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    if done.returncode:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def _partial(tree: Path) -> Path:
    partial = tree.with_name(tree.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    return partial
