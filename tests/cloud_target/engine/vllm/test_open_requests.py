"""Open requests: whoever goes on goes on with its own text, where its keys and values are, and none is forgotten."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cloud_target.engine.vllm.open_requests import OpenRequests

MOST, PAGES, PAGE, SLOTS = 3, 6, 8, 6
slots = st.integers(0, SLOTS - 1)


class Texts(RuleBasedStateMachine):
    """Slots with texts, and a vLLM that knows of each request what it has read, whose it is and whether it is there."""

    goes_back = True

    def __init__(self) -> None:
        super().__init__()
        self.requests = OpenRequests(MOST, PAGES * PAGE, PAGE, self.goes_back)
        self.texts = dict.fromkeys(range(SLOTS), 0)  # lengths
        self.of_slot: dict[int, str] = {}
        self.read: dict[str, int] = {}  # of the requests that vLLM has
        self.keys: dict[str, str] = {}
        self.busy: dict[str, int] = {}

    def free(self) -> list[int]:
        """Slots that wait for no answer; more than `MOST` at once is not asked for."""
        return [slot for slot in range(SLOTS) if slot not in self.busy.values()] if len(self.busy) < MOST else []

    @precondition(lambda self: self.free())
    @rule(data=st.data(), back=st.integers(0, 2 * PAGE), count=st.integers(1, PAGE), key=st.sampled_from("ab"))
    def feed(self, data: st.DataObject, back: int, count: int, key: str) -> None:
        slot = data.draw(st.sampled_from(self.free()))
        start = max(self.texts[slot] - back, 0)
        name, goes_on = self.requests.take(slot, start, start + count, key)
        if goes_on:
            assert self.of_slot[slot] == name
            assert self.keys[name] == key
            there = self.read[name]
            assert start == there or (self.goes_back and (there // PAGE) * PAGE <= start < there)
            assert name not in self.busy
        else:
            assert name not in self.keys
        self.of_slot[slot], self.keys[name], self.busy[name] = name, key, slot
        self.texts[slot] = self.read[name] = start + count
        self.let_go()

    @precondition(lambda self: self.busy)
    @rule(data=st.data(), is_open=st.booleans())
    def answer(self, data: st.DataObject, is_open: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.busy)))
        del self.busy[name]
        if not is_open:
            del self.read[name]
        self.requests.rest(name, is_open)

    @rule(slot=slots, length=st.integers(0, 30))
    def cut(self, slot: int, length: int) -> None:
        self.texts[slot] = min(self.texts[slot], length)
        if not self.texts[slot]:
            self.leave(slot)

    @rule(slot=slots)
    def leave(self, slot: int) -> None:
        self.texts[slot] = 0
        self.of_slot.pop(slot, None)
        self.requests.leave(slot)
        self.busy = {name: -1 if of == slot else of for name, of in self.busy.items()}
        self.let_go()

    def let_go(self) -> None:
        for name in self.requests.ended():
            assert name not in self.busy
            del self.read[name]  # fails where it was let go of before, or has ended by itself
            self.of_slot = {slot: other for slot, other in self.of_slot.items() if other != name}

    @invariant()
    def none_rests_where_not_all_have_room(self) -> None:
        self.let_go()
        pages = sum(length // PAGE + 1 for length in self.read.values())
        assert set(self.read) == set(self.busy) or (pages <= PAGES and len(self.read) <= MOST)

    @invariant()
    def what_rests_is_of_a_slot(self) -> None:
        assert set(self.read) - set(self.busy) <= set(self.of_slot.values())


def test_every_request_goes_on_with_its_text_or_is_let_go():
    run_state_machine_as_test(Texts, settings=settings(max_examples=200, stateful_step_count=40, deadline=None))


def test_likewise_where_none_goes_back():
    kind = type("Texts", (Texts,), {"goes_back": False})
    run_state_machine_as_test(kind, settings=settings(max_examples=100, stateful_step_count=40, deadline=None))


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_text_goes_back_on_its_last_page_only(length, back):
    requests = OpenRequests(MOST, PAGES * PAGE, PAGE, goes_back=True)
    name, _ = requests.take(0, 0, length, "a")
    requests.rest(name, True)
    start = max(length - back, 0)
    assert requests.take(0, start, start + 1, "a")[1] == (start >= length // PAGE * PAGE and length % PAGE > 0)
