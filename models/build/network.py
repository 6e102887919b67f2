"""A convolutional autoencoder in plain numpy: its layers, forwards, backwards, and its training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from models.build.rig import Frames, frames
from models.build.rounding import ends_of, rounded, rounded_kernel

SEED = 20260
BATCH = 64
STEPS, WHOLE_STEPS = 4000, 600
RATE, WHOLE_RATE = 2e-3, 2e-4  # of learning, at its highest
CALIBRATION = 512  # frames
CALIBRATION_SEED = 1_000_003  # of frames that training does not see
WARM_UP = 100  # steps
DECAY = (0.9, 0.999)  # of Adam's two averages (Kingma and Ba, ICLR 2015)
Weights = dict[str, Frames]


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution along time; `spread` turns groups of channels into that many times more samples."""

    name: str
    inputs: int
    outputs: int  # before spreading
    kernel: int
    stride: int = 1
    spread: int = 1
    relu: bool = True

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros before and after: the output is the input's length over the stride."""
        before = (self.kernel - self.stride) // 2
        return before, self.kernel - self.stride - before


# 1024 samples to 256, 64 and 16 places, through 8 channels (an eighth of the samples), and back. What is
# spread (sub-pixel convolution, Shi et al., CVPR 2016) needs no transposed convolution, which has no int8 form.
LAYERS = (
    Layer("listen", 1, 16, 16, stride=4),
    Layer("tones", 16, 32, 8, stride=4),
    Layer("patterns", 32, 96, 8, stride=4),
    Layer("latent", 96, 8, 1, relu=False),
    Layer("unfold", 8, 96, 3),
    Layer("mix", 96, 64, 3),
    Layer("coarse", 64, 128, 3, spread=4),
    Layer("fine", 32, 64, 3, spread=4),
    Layer("samples", 16, 4, 3, spread=4, relu=False),
)
LATENT = "latent"


def shapes() -> dict[str, tuple[int, ...]]:
    """Of the weights by name: `<layer>.weight` (outputs, inputs, kernel) and `<layer>.bias` (outputs,)."""
    found: dict[str, tuple[int, ...]] = {}
    for layer in LAYERS:
        found[f"{layer.name}.weight"] = (layer.outputs, layer.inputs, layer.kernel)
        found[f"{layer.name}.bias"] = (layer.outputs,)
    return found


def initial(seed: int) -> Weights:
    """He's initialisation (ICCV 2015)."""
    random = np.random.Generator(np.random.Philox(key=[seed, 1]))
    weights: Weights = {}
    for name, shape in shapes().items():
        if name.endswith(".bias"):
            weights[name] = np.zeros(shape, np.float32)
        else:
            scale = np.sqrt(2.0 / (shape[1] * shape[2]))
            weights[name] = (scale * random.standard_normal(shape)).astype(np.float32)
    return weights


def forward(
    weights: Weights, rows: Frames, ranges: Weights | None = None
) -> tuple[Frames, list[tuple[Frames, Frames]]]:
    """The reconstruction `(n, FRAME)` of frames, and of each layer its unfolded input and its output; with
    `ranges`, as eight bits would have all of them."""
    value = np.ascontiguousarray(rows)[:, :, None]  # (n, places, channels)
    if ranges is not None:
        value = rounded(value, ranges["frames.range"])
    trace = []
    for layer in LAYERS:
        columns = _unfold(layer, value)
        kernel = weights[f"{layer.name}.weight"].transpose(2, 1, 0).reshape(-1, layer.outputs)
        value = columns @ kernel + weights[f"{layer.name}.bias"]
        if layer.relu:
            value = np.maximum(value, np.float32(0))
        if ranges is not None:
            value = rounded(value, ranges[f"{layer.name}.range"])
        trace.append((columns, value))
        value = value.reshape(len(rows), -1, layer.outputs // layer.spread)
    return value[:, :, 0], trace


def gradients(weights: Weights, rows: Frames, ranges: Weights | None = None) -> tuple[float, Weights]:
    """The mean squared error of the reconstruction, and its derivative by every weight; rounding, where there are
    `ranges`, is passed straight through (Bengio et al., arXiv 1308.3432)."""
    if ranges is not None:
        weights = {n: rounded_kernel(w) if n.endswith(".weight") else w for n, w in weights.items()}
    made, trace = forward(weights, rows, ranges)
    apart = made - rows
    loss = float(np.mean(apart.astype(np.float64) ** 2))
    slope: Frames = (apart * np.float32(2 / apart.size))[:, :, None]
    found: Weights = {}
    for layer, (columns, value) in zip(reversed(LAYERS), reversed(trace), strict=True):
        slope = slope.reshape(value.shape)
        if layer.relu:
            slope = slope * (value > 0)
        flat = slope.reshape(-1, layer.outputs)
        kernel = columns.reshape(len(flat), -1).T @ flat
        shape = (layer.kernel, layer.inputs, layer.outputs)
        found[f"{layer.name}.weight"] = np.ascontiguousarray(kernel.reshape(shape).transpose(2, 1, 0))
        found[f"{layer.name}.bias"] = flat.sum(axis=0)
        if layer is not LAYERS[0]:
            kernel = weights[f"{layer.name}.weight"].transpose(2, 1, 0).reshape(-1, layer.outputs)
            slope = _fold(layer, slope @ kernel.T)
    return loss, found


def calibrate(weights: Weights, seed: int = CALIBRATION_SEED) -> Weights:
    """`<layer>.range`, (2,): between which values the output of each layer lies on frames of the rig."""
    rows = frames(CALIBRATION, seed)
    _, trace = forward(weights, rows)
    ranges = {"frames.range": ends_of(rows, signed=True)}
    for layer, (_, value) in zip(LAYERS, trace, strict=True):
        ranges[f"{layer.name}.range"] = ends_of(value, signed=not layer.relu)
    return ranges


def train(
    steps: int = STEPS,
    whole_steps: int = WHOLE_STEPS,
    batch: int = BATCH,
    tell: Callable[[int, float], None] = lambda step, loss: None,
) -> tuple[Weights, Weights]:
    """Weights for floats, after `steps` of Adam; and weights and ranges for integers, after `whole_steps` more that
    feel what rounding does to them (Jacob et al., CVPR 2018). Every step has frames never seen before. The
    same call gives the same bytes on one machine; another's product of matrices may round otherwise."""
    weights = initial(SEED)
    _descend(weights, None, _lessons(steps, SEED, batch, RATE), tell)
    whole = {name: array.copy() for name, array in weights.items()}
    _descend(whole, calibrate(weights), _lessons(whole_steps, SEED + steps, batch, WHOLE_RATE), tell)
    return weights, {**whole, **calibrate(whole)}


def _descend(
    weights: Weights,
    ranges: Weights | None,
    lessons: Iterable[tuple[float, Frames]],
    tell: Callable[[int, float], None],
) -> None:
    """Adam, in place."""
    first = {name: np.zeros_like(array) for name, array in weights.items()}
    second = {name: np.zeros_like(array) for name, array in weights.items()}
    for step, (rate, rows) in enumerate(lessons, start=1):
        loss, slopes = gradients(weights, rows, ranges)
        for name, slope in slopes.items():
            first[name] += (1 - DECAY[0]) * (slope - first[name])
            second[name] += (1 - DECAY[1]) * (slope * slope - second[name])
            size = np.sqrt(second[name] / (1 - DECAY[1] ** step)) + 1e-8
            weights[name] -= (rate / (1 - DECAY[0] ** step) * first[name] / size).astype(np.float32)
        tell(step, loss)


def _lessons(steps: int, seed: int, batch: int, highest: float) -> Iterator[tuple[float, Frames]]:
    """The rate of learning, warmed up and let down by a cosine, with a batch of new frames."""
    together = 16  # batches made at a time
    for step in range(steps):
        if step % together == 0:
            many = frames(batch * min(together, steps - step), seed + 1 + step // together)
        rate = highest * min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + np.cos(np.pi * step / steps))
        part = step % together * batch
        yield float(rate), many[part : part + batch]


def _unfold(layer: Layer, value: Frames) -> Frames:
    """`(n, places, kernel * inputs)`: what each place of the output sees."""
    padded = np.pad(value, ((0, 0), layer.padding, (0, 0)))
    view = sliding_window_view(padded, layer.kernel, axis=1)[
        :, :: layer.stride
    ]  # (n, places, inputs, kernel)
    columns: Frames = np.ascontiguousarray(view.transpose(0, 1, 3, 2))
    return columns.reshape(*columns.shape[:2], -1)


def _fold(layer: Layer, columns: Frames) -> Frames:
    """The other way: what each place of the output tells each place of the input, added up."""
    n, places, _ = columns.shape
    parts = columns.reshape(n, places, layer.kernel, layer.inputs)
    before, after = layer.padding
    length = places * layer.stride
    padded = np.zeros((n, length + before + after, layer.inputs), np.float32)
    for i in range(layer.kernel):
        padded[:, i : i + length : layer.stride][:, :places] += parts[:, :, i]
    return padded[:, before : before + length]
