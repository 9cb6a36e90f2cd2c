"""Networks as ONNX graphs: written, and read."""
