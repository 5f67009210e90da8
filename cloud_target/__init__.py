"""The cloud: it hosts the target, the large model that edges ask, and makes models for both sides."""
