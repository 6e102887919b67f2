"""asyncua's own server in a process of its own, which can be killed: `python -m tests.sensors.opcua_server PORT ...`.

Each line it reads is JSON: a node's name, its value, and perhaps its status and its source's time. It answers "done".
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.agent.brokers import HOST, free_port, listens, until

ROOT = Path(__file__).parents[2]
NAMESPACE = "urn:plant"
VALUES: dict[str, object] = {"Flow": 1.5, "Speed": 100, "Runs": True, "Name": "pump", "List": [1.0, 2.0]}


class Server:
    """It, on a port that it keeps over restarts."""

    def __init__(self, *arguments: str, port: int = 0) -> None:
        self.port = port or free_port()
        self.url = f"opc.tcp://{HOST}:{self.port}"
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.sensors.opcua_server", str(self.port), *self._arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # it is told there at length whom it refused
            text=True,
        )
        until(lambda: listens(self.port), "the server listens", 60.0)

    def set(self, name: str, value: object, *, status: int = 0, time: float | None = None) -> None:
        """A node's new value; returns once the server has it."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"name": name, "value": value, "status": status, "time": time}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


async def serve(options: argparse.Namespace) -> None:
    from asyncua import Server as UaServer
    from asyncua import ua
    from asyncua.server.user_managers import UserManager

    class Users(UserManager):  # type: ignore[misc]  # seen as Any, with and without asyncua
        def get_user(
            self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None
        ) -> Any:
            from asyncua.crypto.permission_rules import User, UserRole

            fits = not options.user or f"{username}:{password}" == options.user
            return User(role=UserRole.User) if fits else None

    server = UaServer(user_manager=Users())
    await server.init()
    server.set_endpoint(f"opc.tcp://{HOST}:{options.port}")
    if options.cert:
        server.set_security_policy([getattr(ua.SecurityPolicyType, name) for name in options.policy])
        await server.load_certificate(str(options.cert))
        await server.load_private_key(str(options.key))
        await server.set_application_uri("urn:server")
    index = await server.register_namespace(NAMESPACE)
    nodes = {
        name: await server.nodes.objects.add_variable(ua.NodeId(name, index), name, value)
        for name, value in VALUES.items()
    }
    async with server:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line)
            time = None if order["time"] is None else datetime.fromtimestamp(order["time"], timezone.utc)
            variant = None if order["value"] is None else ua.Variant(order["value"])
            status = ua.StatusCode(order["status"])
            told = ua.DataValue(variant, status, SourceTimestamp=time or datetime.now(timezone.utc))
            node = nodes[order["name"]]
            await server.write_attribute_value(node.nodeid, told)
            print("done", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--user", default="")
    parser.add_argument("--cert", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--policy", nargs="*", default=[])
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
