"""The autoencoder as a graph from a waveform to features: in float32, and statically quantised to int8."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from models.build.network import LATENT, LAYERS, Layer, Weights
from models.build.rig import FRAME
from models.build.rounding import point, whole_kernel
from models.build.sheet import Sheet

Values = NDArray[np.float32]
PATCH = 16  # samples whose residual is looked at together
# Of the patch's discrete cosine transform, which lines make a band: in shares of half the sample rate 1/16 each.
BANDS = ((0, 1), (1, 2), (2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (12, 16))


def features() -> tuple[str, ...]:
    """What each column of the graph's output `features` is; all are means of squares or of fourth powers."""
    bands = tuple(f"residual band {a}-{b}/{PATCH}" for a, b in BANDS)
    latents = tuple(f"pattern {i}" for i in range(next(x for x in LAYERS if x.name == LATENT).outputs))
    return ("residual", "residual^4", "residual patch^2", *bands, *latents)


def full(weights: Weights) -> ModelProto:
    """In float32."""
    sheet = Sheet("autoencoder", "frames of a waveform to what a network of healthy machines makes of them")
    value, latent = sheet.input("frames", ["frames", 1, FRAME]), ""
    for layer in LAYERS:
        kernel = sheet.weights(f"{layer.name}.weight", weights[f"{layer.name}.weight"])
        bias = sheet.weights(f"{layer.name}.bias", weights[f"{layer.name}.bias"])
        value = sheet.node("Conv", value, kernel, bias, **_attributes(layer))
        if layer.relu:
            value = sheet.node("Relu", value)
        if layer.name == LATENT:
            latent = value
        value = _spread(sheet, layer, value)
    return _look(sheet, value, latent)


def quantised(weights: Weights) -> ModelProto:
    """Activations in unsigned 8 bits, weights in signed 7 with a scale for each output channel, zero at zero; what
    a rectifier would cut off lies below the range. From the frames to the reconstruction everything is integer."""
    sheet = Sheet("autoencoder", "frames of a waveform to what a network of healthy machines makes of them")
    frames_in, latent = sheet.input("frames", ["frames", 1, FRAME]), ""
    scale, zero = point(weights["frames.range"])
    names = _point(sheet, "frames", scale, zero)
    value = sheet.node("QuantizeLinear", frames_in, *names)
    for layer in LAYERS:
        whole, scales = whole_kernel(weights[f"{layer.name}.weight"])
        biases = np.rint(weights[f"{layer.name}.bias"].astype(np.float64) / (float(scale) * scales))
        after, zero = point(weights[f"{layer.name}.range"])
        inputs = (
            value,
            *names,
            sheet.weights(f"{layer.name}.weight", whole),
            sheet.weights(f"{layer.name}.scale", scales),
            sheet.weights(f"{layer.name}.zero", np.zeros(layer.outputs, np.int8)),
            *_point(sheet, f"{layer.name}.out", after, zero),
            sheet.weights(f"{layer.name}.bias", np.clip(biases, -(2**31), 2**31 - 1).astype(np.int32)),
        )
        value = sheet.node("QLinearConv", *inputs, **_attributes(layer))
        scale, names = after, (f"{layer.name}.out.scale", f"{layer.name}.out.zero")
        if layer.name == LATENT:
            latent = sheet.node("DequantizeLinear", value, *names)
        value = _spread(sheet, layer, value)
    return _look(sheet, sheet.node("DequantizeLinear", value, *names), latent)


def _point(sheet: Sheet, name: str, scale: np.float32, zero: np.uint8) -> tuple[str, str]:
    return (
        sheet.weights(f"{name}.scale", np.asarray(scale)),
        sheet.weights(f"{name}.zero", np.asarray(zero)),
    )


def _attributes(layer: Layer) -> Mapping[str, list[int]]:
    return {"kernel_shape": [layer.kernel], "strides": [layer.stride], "pads": list(layer.padding)}


def _spread(sheet: Sheet, layer: Layer, value: str) -> str:
    """Groups of channels become consecutive samples."""
    if layer.spread == 1:
        return value
    channels = layer.outputs // layer.spread
    apart = sheet.node("Reshape", value, sheet.constant([0, layer.spread, channels, -1], integer=True))
    turned = sheet.node("Transpose", apart, perm=[0, 2, 3, 1])
    return sheet.node("Reshape", turned, sheet.constant([0, channels, -1], integer=True))


def _look(sheet: Sheet, made: str, latent: str) -> ModelProto:
    """What the features are made of: the residual, whole, by band and by how it is spread in time; and how
    loud each pattern of the bottleneck is."""
    patches = sheet.constant([0, FRAME // PATCH, PATCH], integer=True)
    made = sheet.output("reconstruction", ["frames", FRAME // PATCH, PATCH], "Reshape", made, patches)
    apart = sheet.node("Sub", sheet.node("Reshape", "frames", patches), made)
    square = sheet.node("Mul", apart, apart)
    fourth = sheet.node("ReduceMean", sheet.node("Mul", square, square), axes=[1, 2], keepdims=0)
    patch = sheet.node("ReduceMean", square, axes=[2], keepdims=0)
    whole = sheet.node("ReduceMean", patch, axes=[1], keepdims=1)
    uneven = sheet.node("ReduceMean", sheet.node("Mul", patch, patch), axes=[1], keepdims=1)
    lines = sheet.node("MatMul", apart, sheet.weights("cosines", _cosines()))
    power = sheet.node("ReduceMean", sheet.node("Mul", lines, lines), axes=[1], keepdims=0)
    bands = sheet.node("MatMul", power, sheet.weights("bands", _bands()))
    patterns = sheet.node("ReduceMean", sheet.node("Mul", latent, latent), axes=[2], keepdims=0)
    column = sheet.node("Reshape", fourth, sheet.constant([-1, 1], integer=True))
    sheet.output(
        "features", ["frames", len(features())], "Concat", whole, column, uneven, bands, patterns, axis=1
    )
    return sheet.model()


def _cosines() -> Values:
    """The orthonormal discrete cosine transform of type II, `(PATCH samples, PATCH lines)`."""
    sample, line = np.arange(PATCH)[:, None] + 0.5, np.arange(PATCH)[None]
    table = np.sqrt(2 / PATCH) * np.cos(np.pi * sample * line / PATCH)
    table[:, 0] /= np.sqrt(2)
    rounded: Values = np.round(table, 7).astype(
        np.float32
    )  # the last digit of a cosine differs between libraries
    return rounded


def _bands() -> Values:
    """Sums the lines of a band; divided so that all bands add up to the residual's mean square."""
    table = np.zeros((PATCH, len(BANDS)), np.float32)
    for i, (a, b) in enumerate(BANDS):
        table[a:b, i] = 1 / PATCH
    return table
