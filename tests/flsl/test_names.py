"""Names from data files: what may become a path, and what never does."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flsl.runtime.errors import UserError
from flsl.runtime.names import safe_name

REFUSED = [
    "", ".", "..", "../x", "a/../b", "a/..", "./a", "a//b", "a/", "/etc/passwd", "\\\\host\\share", "..\\x", "C:\\x", "c:x",
    "a\0b", "a\nb", "\x1b[31m", "\ud800", "a" * 256, "b/" + "\u00fc" * 128, None, 7, ["a"], {"a": 1}, True,
]  # fmt: skip


@pytest.mark.parametrize("name", REFUSED, ids=lambda name: ascii(name)[:20])
@pytest.mark.parametrize("folders", [False, True])
def test_refused(name, folders):
    with pytest.raises(UserError, match=r"list\.txt: .* cannot be the name of a sequence: .*Correct the file"):
        safe_name(name, "a sequence", "list.txt", folders=folders)


def test_taken():
    for name in ("bike-packing", "0001.jpg", "..a", "a..", ".hidden", "mit Leerzeichen", "\u00fc", "a" * 255):
        assert safe_name(name, "x", "y") == name
    assert safe_name("train/a b/1.jpg", "x", "y", folders=True) == "train/a b/1.jpg"
    with pytest.raises(UserError, match="it names a folder"):
        safe_name("a/b", "x", "y")


@settings(deadline=5000)  # milliseconds an example
@given(st.text(max_size=40) | st.text("./\\\0:ab", max_size=12))
def test_whatever_is_taken_stays_inside(name):
    try:
        safe_name(name, "x", "y", folders=True)
    except UserError:
        return
    root = Path("/data/set")
    inside = (root / name).resolve()
    assert inside.is_relative_to(root)
    assert inside != root
