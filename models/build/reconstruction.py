"""The random-feature autoencoder: how badly smoothed columns are rebuilt, for a bank of monitors of one width."""

from __future__ import annotations

from onnx import ModelProto

from models.build.mahalanobis import WIDEST_SIGMA
from models.build.sheet import Shape, Sheet


def reconstruction() -> ModelProto:
    """Inputs `[monitors, width, windows]`, windows last, as in the Mahalanobis graph.

    z = (level - mean) / scale; rebuilt = readout tanh(projection z + offset) + centre; e = z - rebuilt;
    distance = sqrt(e' P e), summed by a product with ones.
    """
    sheet = Sheet("reconstruction", "distance of smoothed columns from what random features rebuild of them")
    one: Shape = ["monitors", "width", 1]
    level = sheet.input("level", ["monitors", "width", "windows"])
    mean, inverse_scale = sheet.input("mean", one), sheet.input("inverse_scale", one)
    projection = sheet.input("projection", ["monitors", "features", "width"])
    offset = sheet.input("offset", ["monitors", "features", 1])
    readout = sheet.input("readout", ["monitors", "width", "features"])
    centre = sheet.input("centre", one)
    precision = sheet.input("precision", ["monitors", "width", "width"])
    ones = sheet.input("ones", ["monitors", 1, "width"])

    z = sheet.node("Mul", sheet.node("Sub", level, mean), inverse_scale)
    z = sheet.node("Clip", z, -WIDEST_SIGMA, WIDEST_SIGMA)
    hidden = sheet.node("Tanh", sheet.node("Add", sheet.node("MatMul", projection, z), offset))
    rebuilt = sheet.node("Add", sheet.node("MatMul", readout, hidden), centre)
    error = sheet.node("Sub", z, rebuilt)
    contribution = sheet.node("Mul", error, sheet.node("MatMul", precision, error))
    energy = sheet.node("Relu", sheet.node("MatMul", ones, contribution))
    sheet.output("distance", ["monitors", 1, "windows"], "Sqrt", energy)
    return sheet.model()
