"""What operators see from outside: a process that serves, its metrics port and its log, while devices wait."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from cloud_target.access.tokens import add_line, new_token
from cloud_target.telemetry.catalogue import METRICS
from shared.config import Sampling
from shared.wire.v1.target_pb2_grpc import TargetServiceStub
from tests.cloud_target.protocol.reference import request
from tests.cloud_target.server.watched_server import VITALS
from tests.cloud_target.telemetry.scraped import WatchedProcess

pytestmark = pytest.mark.slow

LONG, SHORT = list(range(50_000, 50_040)), list(range(51_000, 51_020))
GIVEN = "trace-me-please"


class Story:
    """One text has all of the room while another waits, and then both are answered; then somebody is refused.

    Attributes:
        before, busy, later, after: pages before the first call, while one pass runs and one request waits, a moment
            later, and at the end.
        ids: those with which refused calls ended.
        lines: all that was logged.
    """

    def __init__(self, directory: Path) -> None:
        token, line = new_token("acme")
        add_line(directory / "tokens", line)
        self._header = ("authorization", f"Bearer {token}")
        with WatchedProcess(slots=1, gated=True, tokens=str(directory / "tokens"), pass_seconds=200.0) as process:
            self.before = process.page()
            with grpc.insecure_channel(process.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
                self._tell(process, TargetServiceStub(channel))
            self.after = process.page_when(lambda page: page.value("tandem_connections") == 0)
            _, log = process.end(signal.SIGTERM)
        self.lines = [json.loads(line) for line in log.splitlines()]

    def _tell(self, process: WatchedProcess, stub: TargetServiceStub) -> None:
        def ask(text: list[int], session: int, *write_on: int) -> grpc.Call:
            messages = [
                request(text, 0, Sampling(), judge_from=len(text), write_on=more, session_id=bytes([session]) * 16)
                for more in write_on
            ]
            for number, message in enumerate(messages[1:], 2):
                message.request_id = number
                message.ClearField("session")
            return stub.Decode(iter(messages), timeout=60, metadata=(self._header,))

        first = ask(LONG, 1, 2)
        process.wait_for_a_line()  # its first pass is under way
        second = ask(SHORT, 2, 8)
        self.busy = process.page_when(lambda page: page.value("tandem_room_requests") == 1)
        since = self.busy.value("tandem_pass_under_way_seconds")
        self.later = process.page_when(lambda page: page.value("tandem_pass_under_way_seconds") > since)
        for _ in range(40):
            process.type_a_line()
        for call in (first, second):
            assert list(call)
        assert len(list(ask(SHORT, 3, 0, 0))) == 2  # two questions of one stream
        self.ids = [self._refusal(stub, *metadata) for metadata in self._wrong()]

    def _wrong(self) -> Iterator[tuple[tuple[str, str], ...]]:
        yield ("authorization", "Bearer nobody"), ("x-request-id", f'{GIVEN}" =[]')
        yield (("x-request-id", "!" * 200),)
        yield self._header, ("x-request-id", "a" * 200)

    def _refusal(self, stub: TargetServiceStub, *metadata: tuple[str, str]) -> str:
        message = request([*SHORT, 99_999], 0, Sampling())
        call = stub.Decode(iter([message]), timeout=60, metadata=metadata)
        with pytest.raises(grpc.RpcError):
            list(call)
        return dict(call.trailing_metadata())["x-request-id"]

    def about(self, event: str) -> list[dict]:
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Story:
    return Story(tmp_path_factory.mktemp("watched"))


def test_every_metric_of_the_list_is_offered(story: Story):
    families = {name.removesuffix("_total").removesuffix("_bucket") for name in story.after.names}
    # Of this one no other test of the list needs to hear: no bundle is offered, and nothing was guessed.
    untold = {"tandem_bundle_bytes", "tandem_guesses_judged", "tandem_guesses_stood"}
    assert {metric.name for metric in METRICS.values()} - families == untold


def test_waiting_for_room_is_told_apart_from_waiting_for_a_pass(story: Story):
    assert story.before.value("tandem_room_requests") == story.after.value("tandem_room_requests") == 0
    assert story.busy.value("tandem_queue_feeds") == 0
    assert story.busy.value("tandem_room_seconds_count") == 1
    assert story.after.value("tandem_room_seconds_count") == 4
    waited = story.later.value("tandem_pass_under_way_seconds") - story.busy.value("tandem_pass_under_way_seconds")
    assert story.after.value("tandem_room_seconds_sum") > waited > 0
    assert story.after.value("tandem_queue_seconds_sum") < story.after.value("tandem_room_seconds_sum")
    rooms = sorted(line["room"] for line in story.about("stream ended") if "verdict" in line or "continuation" in line)
    assert rooms[0] < rooms[2] > waited


def test_the_pass_under_way_and_its_limit(story: Story):
    assert story.busy.value("tandem_pass_under_way_seconds") > 0
    assert story.before.value("tandem_pass_under_way_seconds") == 0
    assert story.after.value("tandem_pass_under_way_seconds") == 0
    assert story.after.value("tandem_pass_limit_seconds") == 200
    assert story.after.value("tandem_hangs_total") == 0


def test_first_verdicts_and_prefixes(story: Story):
    assert story.after.value("tandem_first_verdict_seconds_count") == 3  # of four
    first = story.after.value("tandem_first_verdict_seconds_sum")
    assert first > story.after.value("tandem_room_seconds_sum")  # the first pass was kept waiting besides
    kept, read = (story.after.value("tandem_prefix_tokens_total", source=name) for name in ("kept", "read"))
    assert kept + read == len(LONG) + 3 * len(SHORT)
    assert 2 * len(SHORT) - 2 <= kept <= 2 * len(SHORT)  # the third text is the second once more, and asked about twice


def test_connections(story: Story):
    assert (story.before.value("tandem_connections"), story.busy.value("tandem_connections")) == (0, 1)
    assert story.busy.value("tandem_connections_limit") >= 1


def test_what_the_engine_says_of_itself(story: Story):
    assert story.after.value("tandem_second_looks_total") == VITALS.second_looks
    assert story.after.value("tandem_device_allocated_bytes") == VITALS.allocated
    assert story.after.value("tandem_device_reserved_bytes") == VITALS.reserved
    assert story.after.value("tandem_engine_resident_bytes") == VITALS.resident
    assert story.after.value("process_resident_memory_bytes") > 1 << 20


def test_refusals_are_told_by_tenant_and_reason_and_what_strangers_say_is_no_label(story: Story):
    refused = {
        (s.labels["tenant"], s.labels["reason"]): s.value
        for s in story.after.samples
        if s.name == "tandem_refusals_total"
    }
    assert refused == {("anonymous", "UNAUTHENTICATED"): 2, ("acme", "PROTOCOL"): 1}
    assert {s.labels["tenant"] for s in story.after.samples if "tenant" in s.labels} == {"anonymous", "acme"}


def test_a_refused_call_is_found_in_the_log_by_its_id_with_its_peer(story: Story):
    given, made, cut = story.ids
    assert given == GIVEN
    assert len(made) == 16
    assert int(made, 16) >= 0
    assert cut == "a" * 64
    first, other = story.about("refused")  # the second stranger came within ten seconds of the first
    assert (first["request"], first["reason"]) == (given, "UNAUTHENTICATED")
    assert (other["request"], other["reason"], other["tenant"]) == (cut, "PROTOCOL", "acme")
    for line in (first, other):
        assert line["peer"].startswith("ipv4:127.0.0.1:")
    assert "tenant" not in first


def test_every_line_of_a_call_has_its_id_and_others_have_none(story: Story):
    ended = story.about("stream ended")
    assert len(ended) == 4  # a stranger has none
    assert len({line["request"] for line in ended}) == 4
    assert story.ids[2] in {line["request"] for line in ended}
    assert all("peer" not in line for line in ended)
    assert ["request" in line for line in story.lines if line["event"] in ("draining", "ended")] == [False, False]


def test_a_pass_that_hangs_is_told_of_before_the_end():
    with WatchedProcess(gated=True, pass_seconds=0.5) as process:
        with grpc.insecure_channel(process.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
            call = TargetServiceStub(channel).Decode(iter([request(SHORT, 0, Sampling())]), timeout=60)
            page = process.page_when(lambda page: page.value("tandem_hangs_total") == 1)
            assert page.value("tandem_pass_under_way_seconds") > page.value("tandem_pass_limit_seconds") == 0.5
            call.cancel()
        status, _ = process.ended()
    assert status == 3
