"""Libraries that only some drivers need: imported when one is opened, and named when they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from sensors.base import SensorError


def require(module: str, extra: str) -> Any:
    """The imported module. Raises SensorError with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # a broken installation, not a missing one
        raise SensorError(
            f"{package} is not installed: pip install 'tocsin[{extra}]'"
            " (in the service's virtual environment /opt/tocsin/bin/pip)"
        ) from None
