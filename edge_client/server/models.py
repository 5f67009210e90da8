"""The models that the server lists: the present bundle, alone and in each mode; earlier names are still understood."""

from __future__ import annotations

from typing import Any

from edge_client.edge import Edge
from edge_client.server.errors import ApiError
from shared.config import Mode


class Models:
    """Their names, as clients give them.

    Args:
        edge: whose bundle they are named after. That may change between two texts, and clients that were told an
            earlier name need not notice.
    """

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._modes = list(Mode) if edge.settings.needs_target else [Mode.LOCAL]
        self._earlier: dict[str, Mode | None] = {}
        _ = self.listed()  # what is served at the start has a name, too

    @property
    def name(self) -> str:
        """Of the present bundle."""
        return self._edge.bundle.manifest.name

    def listed(self) -> list[dict[str, Any]]:
        """All that there are now, as the API describes them."""
        name = self.name
        modes = {name: None} | {f"{name}:{mode}": mode for mode in self._modes}
        self._earlier |= modes
        return [self._described(name, mode) for name, mode in modes.items()]

    def described(self, name: str) -> dict[str, Any]:
        """One, as the API describes it.

        Raises:
            ApiError: there is none of that name, and never was.
        """
        return self._described(name, self.mode(name))

    def mode(self, name: str) -> Mode | None:
        """That which a name asks for; None for the server's own.

        Raises:
            ApiError: as `described`.
        """
        now = self.listed()
        if name not in self._earlier:
            known = ", ".join(model["id"] for model in now)
            raise ApiError(404, f"there is no model {name!r} here, but {known}", param="model", code="model_not_found")
        return self._earlier[name]

    def _described(self, name: str, mode: Mode | None) -> dict[str, Any]:
        settings = self._edge.settings
        own = {
            "mode": str(mode or settings.mode),
            "budget": settings.budget,
            "criterion": str(settings.criterion),
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
        }
        return {"id": name, "object": "model", "created": 0, "owned_by": "tandem", "tandem": own}
