"""The physical world as Readings; importing this touches no hardware and loads no driver."""

from sensors.base import Channel, Clock, OptionError, PolledSensor, Reading, Sensor, SensorError
from sensors.plugins import PluginError
from sensors.registry import DRIVERS, OptionDoc, check, create, describe, options
from sensors.values import Problem

__all__ = [
    "DRIVERS",
    "Channel",
    "Clock",
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
    "options",
]
