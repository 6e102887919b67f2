"""A sheet of ONNX nodes: names given in order, so that building again gives the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    checker,
    helper,
    numpy_helper,
)

OPSET = 17  # read by every onnxruntime since 1.12; no operator here needs a newer one
IR_VERSION = 8  # what opset 17 was released with; newer ones are refused by older runtimes
Shape = Sequence[int | str]


class Sheet:
    """Collects inputs, nodes and outputs, and gives the checked model."""

    def __init__(self, name: str, purpose: str) -> None:
        self.name, self.purpose = name, purpose
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}

    def input(self, name: str, shape: Shape) -> str:
        """A float32 graph input; text in the shape is a dimension chosen at run time."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return name

    def output(self, name: str, shape: Shape, operator: str, *inputs: str | float, **attributes: Any) -> str:
        """Append a node whose result is the float32 graph output `name`."""
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return self._append(operator, name, inputs, attributes)

    def constant(self, value: float | Sequence[float], *, integer: bool = False) -> str:
        """An initializer; equal values share one."""
        array = np.asarray(value, dtype=np.int64 if integer else np.float32)
        name = "c_" + "_".join(str(v) for v in array.ravel().tolist()) + ("i" if integer else "")
        self._constants.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def weights(self, name: str, array: NDArray[Any]) -> str:
        """An initializer of its own name and type."""
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def node(self, operator: str, *inputs: str | float, **attributes: Any) -> str:
        """Append one node with one result; plain numbers become constants."""
        return self._append(operator, f"{operator.lower()}_{len(self._nodes)}", inputs, attributes)

    def _append(
        self, operator: str, result: str, inputs: Sequence[str | float], attributes: dict[str, Any]
    ) -> str:
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        self._nodes.append(helper.make_node(operator, names, [result], **attributes))
        return result

    def split(self, value: str, *sizes: int, axis: int = 1) -> tuple[str, ...]:
        """Cut `value` along an axis into pieces of these sizes: one node with several results."""
        results = tuple(f"split_{len(self._nodes)}_{i}" for i in range(len(sizes)))
        names = [value, self.constant(sizes, integer=True)]
        self._nodes.append(helper.make_node("Split", names, list(results), axis=axis))
        return results

    def model(self) -> ModelProto:
        """The finished model, checked with shapes inferred."""
        graph = helper.make_graph(
            self._nodes, self.name, self._inputs, self._outputs, list(self._constants.values()), self.purpose
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, producer_name="tocsin", ir_version=IR_VERSION, opset_imports=opsets)
        checker.check_model(model, full_check=True)
        return model
