"""The report's page: complete in itself, and true to the report."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from cloud_target.prepare.page import page
from cloud_target.prepare.words import headline, promise, summary
from shared.config import Criterion
from tests.cloud_target.prepare.conftest import Finished

pytestmark = pytest.mark.slow

VOID = {"meta"}


class Strict(HTMLParser):
    """Notes what is opened, and that it is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def html(finished: Finished) -> str:
    return finished.html


@pytest.fixture(scope="module")
def parsed(html: str) -> Strict:
    parser = Strict()
    parser.feed(html)
    parser.close()
    return parser


def test_it_is_well_formed_and_not_large(html: str, parsed: Strict) -> None:
    assert parsed.open == []
    ElementTree.fromstring(html.removeprefix("<!DOCTYPE html>\n"))
    assert len(html) < 1_500_000


def test_it_needs_no_script_and_nothing_from_elsewhere(html: str, parsed: Strict) -> None:
    assert not {"script", "link", "img", "iframe", "object"} & set(parsed.seen)
    assert not [name for name, _ in parsed.attributes if name.startswith("on") or name == "src"]
    assert all(value.startswith("#") for name, value in parsed.attributes if name == "href")
    assert not re.search(r"https?:|@import|url\((?!#)", html)


def test_what_a_drawing_refers_to_is_there_once(parsed: Strict) -> None:
    ids = [value for name, value in parsed.attributes if name == "id"]
    targets = {value.removeprefix("#") for name, value in parsed.attributes if name == "href"}
    targets |= {found for _, value in parsed.attributes for found in re.findall(r"url\(#([^)]+)\)", value or "")}
    assert targets == set(ids)
    assert len(ids) == len(set(ids))


def test_every_section_is_there(finished: Finished, parsed: Strict) -> None:
    text = " ".join(parsed.words)
    for words in (
        *("What a budget costs", "Whom to ask", "How well draft and target agree", "How this was made"),
        *("ROC", "Ask rate against divergence", "Reliability", "Run length", "random", "oracle", "entropy"),
        *(headline(finished.report), promise(finished.report), finished.report["command"]),
        *(entry["sha256"] for entry in finished.report["corpora"]),
        finished.report["pair"]["target fingerprint"],
        *(f"{cell['threshold']:.4f}" for cell in finished.report["calibration"]),
    ):
        assert words in text
    assert parsed.seen.count("figure") == 4 * 2 * 4


def test_drawings_have_the_colours_of_the_page(html: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) > 24
    assert not [
        drawing for drawing in drawings if re.search(r"#[0-9a-f]{6}\b", re.sub(r"#[mp][0-9a-f]{10}", "", drawing))
    ]


def test_the_page_repeats(finished: Finished, html: str) -> None:
    assert page(finished.report) == page(copy.deepcopy(finished.report)) == html


def changed(report: dict[str, Any], ask_rate: float) -> dict[str, Any]:
    report = copy.deepcopy(report)
    for check in report["checks"]:
        if (check["temperature"], check["criterion"]) == (0.7, Criterion.TYPICAL):
            for rate in check["rates"]:
                rate["ask_rate"] = ask_rate
    return report


@pytest.mark.parametrize(
    ("ask_rate", "words"),
    [
        (0.0, "needs no asking"),
        (0.0042, "asks about 4 of 1,000 tokens."),
        (0.0421, "asks about 4 of 100 tokens."),
        (1.0, "asks about every token"),
    ],
)
def test_the_headline_is_plain(finished: Finished, ask_rate: float, words: str) -> None:
    report = changed(finished.report, ask_rate)
    assert headline(report).startswith("At a budget of 0.5 % typical this pair")
    assert words in headline(report)
    assert ("To leave no more" in promise(report)) == (0 < ask_rate < 1)


def test_the_summary_names_the_report_and_the_best_rival(finished: Finished) -> None:
    text = summary(finished.report, finished.out)
    assert text.endswith(f"report: {finished.out / 'report.html'}")
    assert f"{finished.report['rows']:,} rows" in text
    assert text.count("the verifier") >= 2
