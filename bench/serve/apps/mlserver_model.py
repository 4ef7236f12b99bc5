"""A runtime of MLServer's around ONNX Runtime, and its start, in MLServer's own environment."""

from pathlib import Path

import onnxruntime
from mlserver import MLModel  # type: ignore[import-not-found]
from mlserver.cli import main  # type: ignore[import-not-found]
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found]


class Onnx(MLModel):  # type: ignore[misc]
    """`x` → `label` and `probabilities`."""

    async def load(self) -> bool:
        """On one thread."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = Path(__file__).with_name("model.onnx")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """By numpy's codec."""
        found = self.session.run(["label", "probabilities"], {"x": NumpyCodec.decode_input(payload.inputs[0])})
        names = ("label", "probabilities")
        outputs = [NumpyCodec.encode_output(name, array) for name, array in zip(names, found, strict=True)]
        return InferenceResponse(model_name=self.name, outputs=outputs)


if __name__ == "__main__":
    main()
