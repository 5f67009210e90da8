"""Options that were read become words of a command line again."""

from __future__ import annotations

import argparse

from cloud_target.options.handed_on import given
from cloud_target.server import options as serve


def test_options_of_serve_travel_on():
    parser = argparse.ArgumentParser()
    serve.add_options(parser)
    words = ["--kv-memory", "1GiB", "--insecure-bind", "--dtype", "bfloat16", "--limits", "sessions=4 calls=2"]
    words += ["--engine", "vllm", "--lora", "a=/x", "--lora", "b=/y=z"]
    assert given(parser.parse_args([]), serve.add_options) == []
    again = given(parser.parse_args(words), serve.add_options)
    assert parser.parse_args(again) == parser.parse_args(words)
