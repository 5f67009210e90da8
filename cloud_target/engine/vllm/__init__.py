"""The target in vLLM: processes, batches and cache are its own; noise and scores are ours, where the logits are."""
