"""One registered format → ONNX."""
