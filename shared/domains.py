"""Domains: kinds of text for which a bundle has verifiers of their own, beside the general one."""

from __future__ import annotations

import re

# The verifier that every bundle has.
GENERAL = "general"
# What a user says who leaves the choice to the device.
AUTO = "auto"
# In one bundle: each is run on all that is audited.
MOST_DOMAINS = 8
# What is asked of a name, for messages.
NAMING = "1 to 32 lower-case letters, digits and hyphens, a letter or digit first, and neither auto nor general"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_FILE = re.compile(r"verifier-(.+)\.onnx")


def is_domain(name: object) -> bool:
    """Whether a domain may be called so: it becomes part of a file's name, on every system."""
    return isinstance(name, str) and name not in (AUTO, GENERAL) and _NAME.fullmatch(name) is not None


def verifier_file(name: str) -> str:
    """The file of the general verifier, or of a domain's."""
    return "verifier.onnx" if name == GENERAL else f"verifier-{name}.onnx"


def is_verifier_file(file: str) -> bool:
    """Whether a file may be called so as that of a domain's verifier."""
    found = _FILE.fullmatch(file)
    return found is not None and is_domain(found[1])
