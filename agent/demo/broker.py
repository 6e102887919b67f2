"""The demo's broker: `python -m agent.demo.broker --port N` on 127.0.0.1, until stdin closes or SIGTERM.

rumqttd, as wheels of iotcore: no root and nothing to configure. For the demo; at work, Mosquitto.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence

MAX_PAYLOAD_BYTES = 256 * 1024  # rumqttd's own 20 KiB is less than a large event


def main(argv: Sequence[str] | None = None) -> int:
    """Serve MQTT 3.1.1 until stdin closes (the parent is gone) or SIGTERM: 0. A port in use, no iotcore: 2."""
    parser = argparse.ArgumentParser(
        prog="python -m agent.demo.broker", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1")
    port: int = parser.parse_args(argv).port

    try:
        from iotcore.iotcore import IotCoreBroker
    except ImportError:
        print(
            "the demo's broker is not installed: pip install 'tocsin[demo]', or use --broker", file=sys.stderr
        )
        return 2
    logging.getLogger("rumqttd").addHandler(logging.NullHandler())
    logging.getLogger("rumqttd").propagate = False  # it logs every packet as an error

    broker = IotCoreBroker(
        listen="127.0.0.1", port=port, max_connections=100, max_payload_size=MAX_PAYLOAD_BYTES
    )
    try:
        broker.check_ports()
    except OSError as error:
        print(f"port {port} of 127.0.0.1: {error}", file=sys.stderr)
        return 2
    # The broker never returns and holds no file: the process is ended, not the broker.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it closes our stdin
    threading.Thread(target=_until_the_parent_goes, name="stdin", daemon=True).start()
    broker.run_forever()
    return 1


def _until_the_parent_goes() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    raise SystemExit(main())
