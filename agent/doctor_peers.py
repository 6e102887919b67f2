"""Whether what the configured sensors listen to is there: programs, serial ports, servers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from agent import status
from agent.assemble import make_sensor
from agent.config import Config
from agent.doctor_rights import IN_DEV
from agent.finding import Finding, ill, well
from sensors.peers import PortFile

AT_ONCE = 16  # servers that do not answer are waited for side by side


def peers(config: Config) -> Iterator[Finding]:
    """Each peer of each sensor; devices in /dev are `doctor_rights`' to find. Those that a running agent reads are left
    alone: a gateway may have room for one client."""
    answer = status.ask(config.state_dir)
    sensors = {} if isinstance(answer, str) else answer.get("sensors", {})
    read = {name for name, sensor in sensors.items() if sensor.get("rows") and not sensor.get("error")}
    for name in config.sensors:
        if name in read:
            yield well(f"sensor {name}", "the running agent reads it")
    asked = [
        (f"sensor {sensor.name}", peer)
        for name, sensor in config.sensors.items()
        if name not in read
        for peer in make_sensor(sensor).peers()
        if not (isinstance(peer, PortFile) and IN_DEV.fullmatch(peer.path))
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        troubles = pool.map(lambda case: case[1].trouble(), asked)
        for (about, peer), trouble in zip(asked, troubles, strict=True):
            yield well(about, peer.well) if trouble is None else ill(about, *trouble)
