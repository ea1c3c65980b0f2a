"""What two encoders were pretrained on, in words where it differs: a better score may be that of more or other data."""

from typing import Any

from results.record import Model, Record

LEARNED_NOTHING = ("random", "pixels")  # formats of encoders that were not pretrained
ALIKE = 1.01  # ratio of images seen: the last step's rest is none


def differing_pretraining(a: Record, b: Record) -> tuple[str, ...]:
    """Return what is different, and what of each side; nothing where it is the same, unknown of both, or one learned nothing.

    Returns:
        For example ("pretrained on other data", "photographs (5,060 images)", "in1k (1,281,167 images)").
    """
    if any(record.model.pretraining.get("format") in LEARNED_NOTHING for record in (a, b)):
        return ()
    mine, other = _told(a.model), _told(b.model)
    if not (mine["data"] and other["data"]):
        known = mine["data"] or other["data"]
        return ("perhaps pretrained on other data", _words(mine), _words(other)) if known else ()
    if mine["data"] != other["data"] or _differ(mine["images"], other["images"], 1):
        return "pretrained on other data", _words(mine), _words(other)
    if _differ(mine["seen"], other["seen"], ALIKE):
        return "pretrained by other numbers of images", _words(mine), _words(other)
    return ()


def pretrained_on(record: Record) -> str:
    """Return what an encoder was pretrained on, in words; empty where it learned nothing."""
    if record.model.pretraining.get("format") in LEARNED_NOTHING:
        return ""
    told = _told(record.model)
    return _words(told) if any(told.values()) else "not stated"


def _told(model: Model) -> dict[str, Any]:
    """Return data, number of images and of images seen, None for what the checkpoint did not say."""
    held = model.pretraining
    counts = {
        key: v if isinstance(v := held.get(key), int) and v > 0 else None for key in ("images", "steps", "batch_size")
    }
    seen = counts["steps"] * counts["batch_size"] if counts["steps"] and counts["batch_size"] else None
    data = held.get("data")
    return {"data": data if isinstance(data, str) else None, "images": counts["images"], "seen": seen}


def _differ(one: int | None, other: int | None, ratio: float) -> bool:
    return bool(one and other and max(one, other) > ratio * min(one, other))


def _words(told: dict[str, Any]) -> str:
    counts = [f"{told[key]:,} {word}" for key, word in (("images", "images"), ("seen", "seen")) if told[key]]
    return f"{told['data'] or 'what its checkpoint does not say'}" + (f" ({', '.join(counts)})" if counts else "")
