"""A hub that is out of reach: one sentence, at once, without the library's own lines."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cloud_target.export.checkpoint import load_checkpoint_tokens
from shared.errors import InputError
from tests.cloud_target.server.process import PATIENCE
from tests.project.tree import ROOT

_ASK = """
import time
slept = []
time.sleep = slept.append
from cloud_target.engine.files import find_directory
from cloud_target.export.checkpoint import load_checkpoint_tokens
from shared.errors import InputError
for ask in (find_directory, load_checkpoint_tokens):
    try:
        ask("nobody/nothing")
    except InputError as error:
        print(error)
print(sum(slept))
"""


@pytest.mark.slow
def test_a_hub_out_of_reach_is_one_sentence(tmp_path):
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": ""}
    run = subprocess.run(
        [sys.executable, "-c", _ASK],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.stderr == ""
    *sentences, slept = run.stdout.splitlines()
    assert float(slept) == 0  # between the library's own tries it would be long
    assert len(sentences) == 2
    assert all("nor to be had from the Hugging Face hub" in sentence for sentence in sentences)


@pytest.mark.slow
def test_a_hub_is_asked_once_whether_it_is_there(tmp_path):
    asked = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            self.send_error(404)

        do_GET = do_HEAD

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Hub) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{hub.server_port}"
        environment = {"HF_ENDPOINT": place, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": ""}
        subprocess.run(
            [sys.executable, "-c", _ASK], cwd=ROOT, env=os.environ | environment, check=True, timeout=PATIENCE
        )
        hub.shutdown()
    assert [path.strip("/") for path in asked].count("") == 1
    assert any("nobody/nothing" in path for path in asked)


def test_pocket_is_no_draft_to_export():
    with pytest.raises(InputError, match="pocket is no checkpoint of a draft: its bundle is part of edge-client"):
        load_checkpoint_tokens("pocket")
