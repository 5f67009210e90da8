"""Text of kinds that neither model ever saw, without a download: from Python's library, this project, and made up."""

from __future__ import annotations

import inspect
import json
import random
from importlib import import_module

from benchmarks.prose import MODULES, unseen_prose

# Documents of a kind that is made up, and about how long they are, in lines, sentences or numbers.
COUNT = 300
_LINES = 12
_JAPANESE = (
    "今日は天気がとても良いので、公園へ散歩に行きました。",
    "小さな男の子は大きな赤い箱を見つけました。",
    "レストランを二人で予約したいのですが。",
    "明日の東京の天気を教えてください。",
    "猫は窓のそばで静かに眠っています。",
    "彼女は毎朝七時に起きて、朝ごはんを食べます。",
    "新しい本を買うために町へ行きました。",
    "電車が遅れているので、会議に間に合いません。",
    "山の上から見る海はとても青くて美しい。",
    "彼は友達と一緒に映画を見に行く予定です。",
)
_KEYS = ("name", "id", "city", "price", "items", "tags", "date", "count")


def unseen_kinds(seed: int = 0) -> dict[str, list[str]]:
    """Documents by kind; the same for the same seed and version of Python."""
    chosen = random.Random(seed)
    made = {"code": _code(chosen)} | unseen_prose()
    made |= {"japanese": ["".join(chosen.sample(_JAPANESE, 4)) for _ in range(COUNT)]}
    made |= {"numbers": [" ".join(str(_number(chosen)) for _ in range(40)) for _ in range(COUNT)]}
    return made | {"json": [_record(chosen) for _ in range(COUNT)]}


def _code(chosen: random.Random) -> list[str]:
    """Lines of Python's library, some at a time, in any order."""
    found = []
    for name in MODULES:
        lines = inspect.getsource(import_module(name)).splitlines()
        # The first lines of a file are its docstring and its imports.
        found += ["\n".join(lines[i : i + _LINES]) for i in range(40, len(lines) - _LINES, 2 * _LINES)]
    chosen.shuffle(found)
    return found


def _number(chosen: random.Random) -> int:
    return chosen.randint(0, 10 ** chosen.randint(1, 5))


def _record(chosen: random.Random) -> str:
    values = ["Tim", "London", _number(chosen), [1, 2, 3], {"a": round(chosen.random(), 3)}, None, True, "2024-03-05"]
    record = {key: chosen.choice(values) for key in chosen.sample(_KEYS, 6)}
    return json.dumps([record, record], indent=chosen.choice([None, 2]))
