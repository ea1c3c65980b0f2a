"""JSON of data files, read so that nothing in it is lost without a word."""

import json
from collections import Counter
from typing import Any


def parse_json(data: bytes) -> Any:
    """Return the value that JSON holds.

    Raises:
        ValueError: it is none, or a key of an object stands there twice, of which Python keeps the last alone.
        RecursionError: it is nested too deep.
    """
    return json.loads(data, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise ValueError(f"{twice!a:.60} stands there twice")
    return content
