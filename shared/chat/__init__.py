"""Conversations as prompts: the checkpoint's own template, rendered in a sandbox, and encoded so that no turn can forge
a control token."""
