"""The link to the target as the page shows and cuts it: `POST /tandem/link`."""

from __future__ import annotations

from typing import Any

from edge_client.server.errors import ApiError
from edge_client.server.fields import Fields
from edge_client.target.switch import Switch
from shared import values

WHY = "cut by the switch on the page"


class ServedLink:
    """The link under all texts of a server.

    Args:
        switch: of the edge; None where it writes alone, so that there is no link.
    """

    def __init__(self, switch: Switch | None) -> None:
        self._switch = switch

    @property
    def state(self) -> str | None:
        """Whether it is "cut", or "whole" as far as the switch goes; None where there is none."""
        if self._switch is None:
            return None
        return "cut" if self._switch.is_cut else "whole"

    def turn(self, body: dict[str, Any]) -> None:
        """Cut it, or mend it, as a request asks for. May wait for a call that is just being ended.

        Raises:
            ApiError: there is no link, or the request cannot be used.
        """
        if self._switch is None:
            raise ApiError(404, "this server writes alone: there is no link to a target that could be cut")
        fields = Fields(body)
        is_cut = fields.take("cut", values.switch)
        fields.end()
        if is_cut is None:
            raise ApiError(400, 'say what to do with the link: {"cut": true} or {"cut": false}', param="cut")
        if is_cut:
            self._switch.cut(WHY)
        else:
            self._switch.mend()
