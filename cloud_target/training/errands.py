"""Errands: made-up dialogues in which every answer is either right or wrong, and anybody can see which.

They give a pair of models something to know that can be counted. Each asks for one of four things: a booking read back
(a time in words becomes a clock's, names are copied), a sum in words, words put in alphabetical order, and what one
of several people has. Names are put together from syllables, so that few were ever read before.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass


def _listed(text: str) -> list[str]:
    return text.split()


_ONES = _listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = _listed("twenty thirty forty fifty sixty seventy eighty ninety")
_DAYS = _listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
_QUARTERS = ((0, "{hour}"), (15, "quarter past {hour}"), (30, "half past {hour}"), (45, "quarter to {next}"))
_WORDS = _listed(
    "apple bread cake door egg fish garden hat ice jam key lamp moon nest orange pie queen rain ship tree uncle van "
    "water yard zoo ball cat dog frog goat horse king lion mouse nut owl pig rabbit snow toy bird boat box car cup "
    "fox star"
)
_COLOURS = _listed("red green blue yellow black white brown pink")
_THINGS = _listed("key ball hat cup box boat")
_COUNTED = _listed("apples shells books coins stones flowers cards stickers")
_PEOPLE = _listed("Tim Lily Ben Mia Tom Sam Anna Max Sue Jack Lucy Bob")
_BEGINNINGS = _listed("Bar Cal Dor El Fen Gar Hal Is Jor Kel Lor Mar Nor Or Pel Ros Sel Tar Ul Ven Wil Yor Zan")
_MIDDLES = _listed("a e i o u ar en il on ur")
_ENDINGS = _listed("by den field ford ham ley low man mer more ner ridge ston ton vale wick win worth")
_PLACES = _listed("Kitchen Grill Cafe House Table Garden")


@dataclass(frozen=True)
class Errand:
    """A question with its one right answer.

    Attributes:
        kind: "booking", "sum", "order" or "owner".
        question: what the user says.
        answer: what the assistant should say.
        values: the parts of the answer that must be right, as they stand in it, in order.
    """

    kind: str
    question: str
    answer: str
    values: tuple[str, ...]

    def right(self, reply: str) -> int:
        """How many of the values stand in a reply, in their order; all of them make a right answer."""
        place, count = 0, 0
        for value in self.values:
            found = reply.find(value, place)
            if found >= 0:
                place, count = found + len(value), count + 1
        return count


def errands(count: int, seed: int) -> list[Errand]:
    """`count` errands, each kind in turn; the same for the same seed."""
    source = random.Random(seed)
    return [_KINDS[i % len(_KINDS)](source) for i in range(count)]


def dialogues(count: int, seed: int) -> Iterator[str]:
    """`count` documents of a corpus: dialogues of one to three errands, as ``User:`` and ``Assistant:`` lines."""
    source = random.Random(seed)
    for _ in range(count):
        turns = [source.choice(_KINDS)(source) for _ in range(source.randint(1, 3))]
        yield "\n".join(f"User: {turn.question}\nAssistant: {turn.answer}" for turn in turns)


def number(value: int) -> str:
    """0 to 99 in words."""
    if value < 20:
        return _ONES[value]
    tens = _TENS[value // 10 - 2]
    return tens if value % 10 == 0 else f"{tens}-{_ONES[value % 10]}"


def _name(source: random.Random) -> str:
    middle = source.choice(_MIDDLES) if source.random() < 0.5 else ""
    return source.choice(_BEGINNINGS) + middle + source.choice(_ENDINGS)


def _booking(source: random.Random) -> Errand:
    guests = source.randint(2, 12)
    hour = source.randint(1, 11)
    minutes, words = source.choice(_QUARTERS)
    after = hour if minutes < 45 else hour + 1
    spoken = words.format(hour=_ONES[hour], next=_ONES[after])
    half, part = source.choice((("am", "in the morning"), ("pm", "in the evening")))
    place, town = f"{_name(source)} {source.choice(_PLACES)}", _name(source)
    day, guest = source.choice(_DAYS), f"{source.choice(_PEOPLE)} {_name(source)}"
    clock = f"{hour}:{minutes:02d} {half}"
    table = source.choice(("I would like a table for", "Please book a table for", "Can you get me a table for"))
    wishes = [f"at {place} in {town}", f"on {day}", f"at {spoken} {part}"]
    source.shuffle(wishes)
    question = f"{table} {_ONES[guests]} {', '.join(wishes)}. The name is {guest}."
    answer = f"Please confirm: a table for {guests} at {place} in {town}, on {day} at {clock}, for {guest}."
    return Errand("booking", question, answer, (f"{guests} at", place, f"{town},", day, clock, guest))


def _sum(source: random.Random) -> Errand:
    who, what = source.choice(_PEOPLE), source.choice(_COUNTED)
    if source.random() < 0.5:
        have, change = source.randint(2, 20), source.randint(2, 10)
        verb, result, sign = source.choice(("finds", "gets", "buys")), have + change, "and"
        question = f"{who} has {number(have)} {what} and {verb} {number(change)} more."
    else:
        have = source.randint(5, 20)
        change = source.randint(2, min(have - 1, 10))
        verb, result, sign = source.choice(("loses", "gives away", "sells")), have - change, "less"
        question = f"{who} has {number(have)} {what} and {verb} {number(change)}."
    answer = (
        f"{number(have).capitalize()} {sign} {number(change)} is {number(result)}. {who} has {number(result)} {what}."
    )
    return Errand("sum", f"{question} How many {what} does {who} have now?", answer, (f"is {number(result)}.", who))


def _order(source: random.Random) -> Errand:
    words = source.sample(_WORDS, source.randint(3, 5))
    ordered = ", ".join(sorted(words))
    ask = source.choice(("Put these words in alphabetical order", "Sort these words", "Can you sort these words"))
    return Errand("order", f"{ask}: {', '.join(words)}.", f"In order: {ordered}.", (f"{ordered}.",))


def _owner(source: random.Random) -> Errand:
    count = source.randint(3, 5)
    owners = [_name(source) for _ in range(count)]
    things = source.sample([f"{colour} {thing}" for colour in _COLOURS for thing in _THINGS], count)
    facts = ", ".join(f"{owner} has the {thing}" for owner, thing in zip(owners, things, strict=True))
    asked = source.randrange(count)
    question = f"{facts}. What does {owners[asked]} have?"
    return Errand("owner", question, f"{owners[asked]} has the {things[asked]}.", (f"the {things[asked]}.",))


_KINDS: tuple[Callable[[random.Random], Errand], ...] = (_booking, _sum, _order, _owner)
