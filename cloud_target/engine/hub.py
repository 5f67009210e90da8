"""The Hugging Face hub: asked once whether it is there, for its library tries for minutes and tells of each attempt."""

from __future__ import annotations

import logging
import os
import urllib.error
import urllib.request
from functools import cache

# Seconds until a hub that does not answer counts as out of reach; what was fetched before is used then.
PATIENCE = 3.0
_HUB = "https://huggingface.co"


def fetch(name: str, file: str) -> str:
    """The path of a file of a Hugging Face id, fetched now or before.

    Raises:
        OSError: there is none, or the hub is out of reach.
    """
    _be_brief()
    from transformers.utils import cached_file

    found = cached_file(name, file)
    if found is None:
        raise OSError(f"there is no {file}")
    return found


@cache
def _be_brief() -> None:
    """Let the hub's library be quiet, and try nothing where the hub is out of reach."""
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    from transformers.utils.hub import constants

    if not constants.HF_HUB_OFFLINE and not _reached(os.environ.get("HF_ENDPOINT") or _HUB):
        os.environ["HF_HUB_OFFLINE"] = "1"
        constants.HF_HUB_OFFLINE = True


def _reached(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=PATIENCE).close()
    except urllib.error.HTTPError:  # an answer
        return True
    except (OSError, ValueError):
        return False
    return True
