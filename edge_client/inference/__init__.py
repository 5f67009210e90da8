"""The models on the device: a bundle's graphs, run by onnxruntime."""
