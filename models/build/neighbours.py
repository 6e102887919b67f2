"""Nearest neighbours of the latest stretch of every channel among stretches kept from normal operation."""

from __future__ import annotations

from onnx import ModelProto

from models.build.sheet import Sheet


def neighbours() -> ModelProto:
    """Inputs `[channels, length, windows]` in standardised units, windows last.

    |q - m|^2 = |q|^2 + |m|^2 - 2 m'q for every kept stretch m; the distance is the root of the smallest, over the
    root of the length (the caller scales both by it). Seats of `memory` that are still empty have a huge |m|^2.
    """
    sheet = Sheet(
        "neighbours", "distance of a stretch of each channel from the nearest that was kept of normal"
    )
    stretch = sheet.input("stretch", ["channels", "length", "windows"])
    memory = sheet.input("memory", ["channels", "kept", "length"])
    energy = sheet.input("energy", ["channels", "kept", 1])  # |m|^2
    inverse_edge = sheet.input("inverse_edge", ["channels", 1, 1])
    ones = sheet.input("ones", ["channels", 1, "length"])

    product = sheet.node("MatMul", memory, stretch)
    nearest = sheet.node("ReduceMin", sheet.node("Sub", energy, sheet.node("Mul", product, 2.0)), axes=[1])
    own = sheet.node("MatMul", ones, sheet.node("Mul", stretch, stretch))
    distance = sheet.node("Sqrt", sheet.node("Relu", sheet.node("Add", nearest, own)))
    sheet.output("score", ["channels", 1, "windows"], "Mul", distance, inverse_edge)
    return sheet.model()
