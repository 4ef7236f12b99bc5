"""The peers' services, each as its own documentation writes one; copied beside `model.onnx` and run there."""
