"""One turn of a paho client by the thread that owns it: paho's own threads die of what is no MQTT."""

from __future__ import annotations

import struct

from paho.mqtt import properties as paho_properties
from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

# What paho lets through when it reads what is no MQTT. Our own callbacks only append to lists; the one that
# decodes a topic is meant to end the session with it.
# MQTTException has moved between paho's modules; as the base of this name it is found in 2.1 and in 2.2.
NO_MQTT: type[Exception] = vars(paho_properties)["MalformedPacket"].__mro__[1]
GARBAGE = (
    NO_MQTT,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    struct.error,
)


def exchange(client: Client, readable: bool) -> MQTTErrorCode:
    """Read what has come, write what has to go; MQTT_ERR_PROTOCOL for what is no MQTT."""
    try:
        code = client.loop_read() if readable else MQTTErrorCode.MQTT_ERR_SUCCESS
        if not code and client.want_write():
            code = client.loop_write()
        return code or client.loop_misc()
    except GARBAGE:
        return MQTTErrorCode.MQTT_ERR_PROTOCOL
