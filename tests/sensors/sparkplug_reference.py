"""Sparkplug B's payloads by protobuf's own library: what an edge node of another make would send."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from tests.real import require

# number, name, type of protobuf's descriptor.proto; sparkplug_b.proto of Eclipse Tahu
DOUBLE, FLOAT, INT64, UINT64, BOOL, STRING, MESSAGE, BYTES, UINT32 = 1, 2, 3, 4, 8, 9, 11, 12, 13
OPTIONAL, REPEATED = 1, 3
FIELDS: dict[str, list[tuple[int, str, int, str]]] = {
    "PropertyValue": [
        (1, "type", UINT32, ""),
        (2, "is_null", BOOL, ""),
        (3, "int_value", UINT32, ""),
        (4, "long_value", UINT64, ""),
        (8, "string_value", STRING, ""),
    ],
    "PropertySet": [(1, "keys", STRING, "*"), (2, "values", MESSAGE, "*PropertyValue")],
    "MetaData": [(3, "size", UINT64, ""), (8, "description", STRING, "")],
    "Metric": [
        (1, "name", STRING, ""),
        (2, "alias", UINT64, ""),
        (3, "timestamp", UINT64, ""),
        (4, "datatype", UINT32, ""),
        (5, "is_historical", BOOL, ""),
        (6, "is_transient", BOOL, ""),
        (7, "is_null", BOOL, ""),
        (8, "metadata", MESSAGE, "MetaData"),
        (9, "properties", MESSAGE, "PropertySet"),
        (10, "int_value", UINT32, ""),
        (11, "long_value", UINT64, ""),
        (12, "float_value", FLOAT, ""),
        (13, "double_value", DOUBLE, ""),
        (14, "boolean_value", BOOL, ""),
        (15, "string_value", STRING, ""),
        (16, "bytes_value", BYTES, ""),
    ],
    "Payload": [
        (1, "timestamp", UINT64, ""),
        (2, "metrics", MESSAGE, "*Metric"),
        (3, "seq", UINT64, ""),
        (4, "uuid", STRING, ""),
        (5, "body", BYTES, ""),
    ],
}


@functools.cache
def message(name: str) -> Any:
    """The class of a message."""
    try:
        descriptors = importlib.import_module("google.protobuf.descriptor_pb2")
        pools = importlib.import_module("google.protobuf.descriptor_pool")
        factory = importlib.import_module("google.protobuf.message_factory")
    except ModuleNotFoundError:
        require(False, "protobuf is not installed")
        raise
    file = descriptors.FileDescriptorProto(name="sparkplug_b.proto", package="tahu", syntax="proto2")
    for kind, fields in FIELDS.items():
        entry = file.message_type.add(name=kind)
        for number, field, of, more in fields:
            label = REPEATED if more.startswith("*") else OPTIONAL
            made = entry.field.add(name=field, number=number, type=of, label=label)
            if of == MESSAGE:
                made.type_name = f".tahu.{more.removeprefix('*')}"
    pool = pools.DescriptorPool()
    pool.Add(file)
    return factory.GetMessageClass(pool.FindMessageTypeByName(f"tahu.{name}"))


def payload(seq: int | None, *metrics: dict[str, object], timestamp: int | None = None) -> bytes:
    """A whole payload of metrics by their fields; `quality` is the property of that name."""
    made = message("Payload")()
    if seq is not None:
        made.seq = seq
    if timestamp is not None:
        made.timestamp = timestamp
    for fields in metrics:
        metric = made.metrics.add()
        for field, value in fields.items():
            if field == "quality":
                metric.properties.keys.append("Quality")
                metric.properties.values.add(type=3, int_value=value)
            else:
                setattr(metric, field, value)
    data: bytes = made.SerializeToString()
    return data
