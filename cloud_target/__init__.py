"""The cloud: it hosts the target, the large model that edges ask, and makes models for both sides."""

from shared.quiet import silence_libraries

silence_libraries()  # no module of this package, and so no library of theirs, is imported before
