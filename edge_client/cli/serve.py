"""`edge-client serve`: texts of this device for tools that speak OpenAI's API."""

from __future__ import annotations

import argparse
import os
import sys

from edge_client.bundles.following import last_used
from edge_client.cli.console import say
from edge_client.cli.fetching import Fetching
from edge_client.cli.options import read_credentials, read_options
from edge_client.edge import Edge
from edge_client.server.serve import serve
from edge_client.server.settings import ServerSettings
from edge_client.settings import Settings
from edge_client.target.credentials import read_token


def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes; returns the exit status.

    Raises:
        TandemError: it cannot be served.
    """
    key = read_token(options.api_key_file) if options.api_key_file else os.environ.get("TANDEM_API_KEY") or None
    served = ServerSettings(
        host=options.host,
        port=options.port,
        key=key,
        https_cert=options.https_cert,
        https_key=options.https_key,
        origins=tuple(options.allow_origin),
        texts=options.texts,
        waiting=options.waiting,
    )
    settings = Settings().override(**read_options(options))
    with Edge(
        options.target if settings.needs_target else None,  # none, so that no request can ask it either
        bundle=options.bundle or (None if settings.needs_target else last_used(options.target)),
        credentials=read_credentials(options) if settings.needs_target else None,
        memory=not options.no_memory,
        notify=say,
        progress=Fetching(sys.stderr),
        conversations=options.texts,
        **vars(settings),
    ) as edge:
        who = f"with {options.target}" if settings.needs_target else "alone"

        def ready(address: str) -> None:
            print(
                f"edge-client serves {edge.bundle.manifest.name} on {address}/v1, mode {settings.mode} {who}; "
                f"a page to try it: {address}/; Ctrl-C ends it",
                flush=True,
            )

        serve(edge, served, ready)
    return 0
