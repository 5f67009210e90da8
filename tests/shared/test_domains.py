"""The names of domains, which become parts of files' names."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from shared.contents import NAMES, are_of_a_bundle
from shared.domains import AUTO, GENERAL, MOST_DOMAINS, is_domain, is_verifier_file, verifier_file

NAME = st.text("abz059-", min_size=1, max_size=34)


@given(st.text(max_size=40) | NAME)
@example("../../etc/x")
@example("con")
@example("a\n")
@example(GENERAL)
@example(AUTO)
def test_a_file_is_a_verifiers_where_its_name_is_a_domains(name):
    is_one = is_domain(name)
    assert is_verifier_file(f"verifier-{name}.onnx") == is_one
    if is_one:
        assert name.isascii()
        assert name == name.lower()
        assert not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert not is_verifier_file(verifier_file(name) + "\n")


@given(st.lists(NAME.map(verifier_file) | st.sampled_from(NAMES), max_size=12))
def test_a_bundle_has_each_usual_file_once_and_some_verifiers_each_once(more):
    files = [*NAMES, *more]
    domains = [file for file in more if file not in NAMES]
    good = len(set(files)) == len(files) and len(domains) <= MOST_DOMAINS and all(map(is_verifier_file, domains))
    assert are_of_a_bundle(files) == good
    assert not are_of_a_bundle(more[: len(NAMES) - 1])
