"""How weights may be stored in few bits: which ways there are, and which of them are tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cloud_target.export.choices import ACTIVATIONS, BLOCKS, DTYPES, HEADS
from cloud_target.export.packing import Packing
from shared.errors import InputError

_BITS = {"int8": 8, "int4": 4}


@dataclass(frozen=True)
class Precision:
    """One way.

    Attributes:
        dtype: of the weights of all products but the head's, "int8" or "int4".
        block: weights that share a scale.
        activations: what these are multiplied with: "int8", rounded as they come, or "float32".
        head: of the output head's weights, and of the token embeddings where these are the same.
    """

    dtype: str = "int8"
    block: int = BLOCKS[0]
    activations: str = ACTIVATIONS[0]
    head: str = HEADS[0]

    @property
    def of_body(self) -> Packing:
        """How weights are packed of which nothing else is said."""
        return Packing(_BITS[self.dtype], self.block, has_zeros=self.dtype == "int4")

    @property
    def of_attention(self) -> Packing:
        """How those are that make queries, keys and values: of all in 4 bits these cost most agreement, and are few."""
        # Not where activations are float32: see `TABLE` of what 8 bits cost there.
        return self.of_lookups if self.activations == "int8" else self.of_body

    @property
    def of_head(self) -> Packing | None:
        """How the head's are; None where they stay float32. A table that is looked up has no zeros of its own."""
        return Packing(_BITS[self.head], self.block) if self.head in _BITS else None

    @property
    def of_lookups(self) -> Packing:
        """How a table is that is looked up only: bits cost no time there."""
        return Packing(_BITS["int8"], self.block)

    def __str__(self) -> str:
        return f"{self.dtype}, blocks of {self.block}, {self.activations} activations, {self.head} head"


# What is tried where it is not asked for by name. Not here: 8 bits with float32 activations, in the head neither. For
# them onnxruntime has no kernel: it unpacks the weights at every step, which takes several times as long as float32.
TABLE = (
    *(Precision("int8", block) for block in BLOCKS),
    Precision("int8", head="float32"),
    *(Precision("int4", block) for block in BLOCKS),
    Precision("int4", activations="float32", head="float32"),
    Precision("int4", head="int4"),
)


@dataclass(frozen=True)
class Asked:
    """What was asked for of a draft's weights; None leaves it open.

    Attributes:
        dtype: "float32", "int8", "int4", or "auto" for one of the last two.
        block, activations, head: as in `Precision`.

    Raises:
        InputError: there is no such thing, or it says nothing of a float32 draft.
    """

    dtype: str = DTYPES[0]
    block: int | None = None
    activations: str | None = None
    head: str | None = None

    def __post_init__(self) -> None:
        known = {"dtype": DTYPES, "block": BLOCKS, "activations": ACTIVATIONS, "head": HEADS}
        for name, values in known.items():
            if (value := getattr(self, name)) is not None and value not in values:
                raise InputError(f"--{name} cannot be {value}; choose from {', '.join(map(str, values))}")
        if self.dtype == "float32" and self.details:
            raise InputError(
                f"--{self.details[0]} is about weights in 8 or 4 bits; give --dtype auto, int8 or int4 with it"
            )

    @property
    def details(self) -> Sequence[str]:
        """Those of `block`, `activations` and `head` that were given."""
        return [name for name in ("block", "activations", "head") if getattr(self, name) is not None]

    def ways(self) -> list[Precision]:
        """Those of the table that are as asked for; where none is, the one that is asked for by name."""
        given = {name: getattr(self, name) for name in self.details}
        given |= {"dtype": self.dtype} if self.dtype != "auto" else {}
        found = [way for way in TABLE if all(getattr(way, name) == value for name, value in given.items())]
        return found or [Precision(**given)]
