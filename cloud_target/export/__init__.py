"""From checkpoints to the ONNX graphs of an edge bundle."""
