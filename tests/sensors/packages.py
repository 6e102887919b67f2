"""Packages that bring a driver, as pip leaves them."""

from __future__ import annotations

from pathlib import Path

FLOW = '''
from sensors.base import PolledSensor
class Flow(PolledSensor):
    """What flows.

    Options:
        port: where.
    """
    def __init__(self, *, port: int) -> None:
        self.port = port
        self.rate_hz = 1.0
    def sample(self) -> tuple[float, ...]:
        return (1.0,)
'''
# The same, which finds two of its kind.
FINDS = (
    FLOW.replace("import PolledSensor", "import Found, PolledSensor")
    + """
    @classmethod
    def find(cls, root):
        for port in (1, 2):
            yield Found("flow", "a meter", {"port": port}, "sudo usermod -aG dialout tocsin")
"""
)


def install(site: Path, package: str, code: str, *entries: str) -> None:
    """A module with what is known of it; the name of each package is to be used once only in a process."""
    (site / f"{package}.py").write_text(code)
    about = site / f"{package}-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text("\n".join(["[tocsin.drivers]", *entries]) + "\n")
