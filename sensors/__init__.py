"""The physical world as Readings; importing this touches no hardware and loads no driver."""

from sensors.base import Channel, Clock, Found, OptionError, PolledSensor, Reading, Sensor, SensorError
from sensors.plugins import PluginError
from sensors.registry import DRIVERS, OptionDoc, check, create, describe, find, options
from sensors.values import Problem

__all__ = [
    "DRIVERS",
    "Channel",
    "Clock",
    "Found",
    "OptionDoc",
    "OptionError",
    "PluginError",
    "PolledSensor",
    "Problem",
    "Reading",
    "Sensor",
    "SensorError",
    "check",
    "create",
    "describe",
    "find",
    "options",
]
