"""Checkpoints in GGUF, as llama.cpp has them, made checkpoints as transformers has them."""
