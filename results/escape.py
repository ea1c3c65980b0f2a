"""Text from other people's records in each kind of output: shown as it is, never obeyed."""

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

from flsl.runtime.text import printable

FORMULA = "=+-@＝＋－＠"  # what makes a spreadsheet compute a cell, or fetch and run something
MARKDOWN = re.compile(r"[\\`*_\[\]|~]|(?<=:)//|(?<=www)\.")  # markup, and what turns a bare address into a link
TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "|": r"\textbar{}", "†": r"$^{\dagger}$",
    "±": r"$\pm$", "−": r"$-$", "<": r"$<$", ">": r"$>$",
    "[": "{[}", "*": "{*}",  # at the beginning of a row they would belong to the line end before them
}  # fmt: skip


def as_csv(value: object) -> object:
    """Return a cell of a CSV file: text that a spreadsheet would compute gets an apostrophe, all else stays."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.lstrip()[:1] in tuple(FORMULA) else text


def as_html(text: object) -> str:
    """Return text as HTML shows it, between tags or in a quoted attribute; None is empty."""
    return "" if text is None else html.escape(printable(text))


def as_markdown(text: object) -> str:
    """Return text as GitHub Markdown shows it, in a cell of a table too."""
    escaped = MARKDOWN.sub(lambda found: f"\\{found.group()}", printable(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table; its cells are Markdown already."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def as_tex(text: object) -> str:
    """Return text as LaTeX shows it."""
    return "".join(TEX.get(character, character) for character in printable(text))


def as_json(value: Any) -> Any:
    """Return plain values with every text in them printable, keys included, for a page that shows them all."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, (list, tuple)) else value
