"""The report's page: complete in itself, and true to the report."""

from __future__ import annotations

import copy
import json
import re
from html import escape
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from cloud_target.prepare.heads import TRAINED
from cloud_target.prepare.page import page
from cloud_target.prepare.words import chosen, headline, measured, plain_percent, promise, steered_rate, summary
from cloud_target.training.calibrate import BUDGETS
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
    parser.feed(html.replace("\N{NO-BREAK SPACE}", " "))
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
        *(headline(finished.report), promise(finished.report), measured(finished.report), finished.report["command"]),
        *(entry["sha256"] for entry in finished.report["corpora"]),
        finished.report["pair"]["target fingerprint"],
        *map(chosen, finished.report["chosen"]),
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


def changed(report: dict[str, Any], part: str, **rates: float) -> dict[str, Any]:
    """The report with other rates of a device under the default budget."""
    report = copy.deepcopy(report)
    steered_rate(report)[part] = {"tokens": 1000, "ask_rate": 0.1, "divergence": 0.001} | rates
    return report


@pytest.mark.parametrize(
    ("ask_rate", "words"),
    [
        (0.0, "asks about no token, and"),
        (0.0042, "asks about 4 of 1,000 tokens, and"),
        (0.0421, "asks about 4 of 100 tokens, and"),
        (1.0, "asks about every token, and"),
    ],
)
@pytest.mark.parametrize("part", ["new", "later"])
def test_the_headline_is_plain(finished: Finished, part: str, ask_rate: float, words: str) -> None:
    report = changed(finished.report, part, ask_rate=ask_rate, divergence=0.0043)
    assert headline(report).startswith("On text like this, a device that promises 1 % asks about ")
    assert words in headline(report)
    assert headline(report).endswith("0.43 % turn out off-target.")
    assert ("To leave as many" in measured(report)) == (ask_rate > 0)


def test_a_device_that_has_learned_goes_before_a_new_one(finished: Finished) -> None:
    report = changed(changed(finished.report, "new", ask_rate=0.4), "later", ask_rate=0.2)
    assert "20 of 100 tokens" in headline(report)
    assert "knows nothing yet asks about 40 of 100 tokens at first" in promise(report)


def test_the_page_the_file_and_the_summary_say_the_same(finished: Finished, html: str) -> None:
    report = json.loads((finished.out / "report.json").read_text(encoding="utf-8"))
    assert report["steered"] == finished.report["steered"]
    assert page(report) == html
    assert escape(headline(report)) in html.replace("\N{NO-BREAK SPACE}", " ")
    assert summary(report, finished.out).startswith(headline(report))
    for entry in report["steered"]:
        assert [rate["budget"] for rate in entry["rates"]] == list(BUDGETS)
        for rate in entry["rates"]:
            rates = rate["later"] or rate["new"], rate["new"], rate["unaudited"]
            cells = [plain_percent(one[name]) for one in rates for name in ("ask_rate", "divergence")]
            row = [f"{100 * rate['budget']:g} %", *cells]
            assert "".join(f"<td>{cell}</td>" for cell in row) in html


def test_audits_are_said_to_move_the_threshold(finished: Finished, parsed: Strict) -> None:
    assert "loosens or tightens the threshold" in promise(finished.report)
    assert "steer the device" in " ".join(parsed.words)


def test_a_threshold_that_never_moves_is_not_said_to_ask_more(finished: Finished, parsed: Strict) -> None:
    """On text like that which it was chosen on it asks less as often as not: its figures stand there instead."""
    alone = steered_rate(finished.report)["unaudited"]
    assert f"{plain_percent(alone['divergence'])} % turn out off-target." in promise(finished.report).split(";")[1]
    words = " ".join(" ".join(parsed.words).split())
    assert "may ask about fewer, but keeps the budget only on text like that which it was chosen on" in words


def test_axes_name_their_units_and_their_scales(html: str) -> None:
    drawings = re.findall(r'<svg viewBox="[^"]*" role="img".*?</svg>', html, re.DOTALL)
    for drawing in drawings:
        labels = [text for text in re.findall(r"<text[^>]*>([^<]*)</text>", drawing) if re.search("[a-z]{4}", text)]
        assert any("%" in label for label in labels), labels
        if "Reliability" in drawing:
            assert sum("%, root scale" in label for label in labels) == 2
        if "Run lengths" in drawing:
            assert any("classes that double" in label for label in labels)


def test_tables_scroll_on_a_phone_and_paper_is_light_and_open(html: str, parsed: Strict) -> None:
    assert parsed.seen.count("table") == html.count('<div class="wide" tabindex="0"><table')
    assert "caption" not in parsed.seen  # it would be as wide as its table, and scroll away
    assert "@media screen and (prefers-color-scheme: dark)" in html
    assert "details::details-content { content-visibility: visible" in html


def test_the_summary_names_the_report_and_the_best_rival(finished: Finished) -> None:
    text = summary(finished.report, finished.out)
    assert text.endswith(f"report: {finished.out / 'report.html'}")
    assert f"{finished.report['rows']:,} rows" in text
    assert text.count("the verifier") >= 2


@pytest.mark.parametrize(("name", "rival"), [(TRAINED, "entropy, 12.0 %."), ("entropy", f"{TRAINED}, 12.0 %.")])
def test_the_sentence_names_what_was_chosen_and_what_it_was_better_than(name: str, rival: str) -> None:
    others = {TRAINED, "entropy", "random"} - {name, rival.split(",")[0]}
    asks = {name: 0.05, rival.split(",")[0]: 0.12} | dict.fromkeys(others, 0.3)
    choice = {"criterion": "strict", "name": name, "asks": asks, "tokens": 12_345, "documents": 7}
    assert chosen(choice).startswith(f"By the strict criterion the verifier doubts by {name}: of 12,345 tokens ")
    assert "5.0 % are asked" in chosen(choice)
    assert chosen(choice).endswith(rival)
