"""Self-contained HTML pages: style, script and data inside the file, nothing fetched from anywhere."""

import base64
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from results.escape import as_html, as_json

FOLDER = Path(__file__).parent / "pages"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def make_page(
    title: str, body: str, *, scripts: tuple[str, ...] = (), styles: tuple[str, ...] = (), data: Any = None
) -> str:
    """Return a page.

    Args:
        title: text of the title and the first heading.
        body: HTML below the heading.
        scripts, styles: files of results/pages that go in, beside `style.css`.
        data: becomes JSON that the scripts read from the element `data`.
    """
    sheets = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in ("style.css", *styles))
    code = "".join(f"<script>\n{(FOLDER / name).read_text(encoding='utf-8')}</script>\n" for name in scripts)
    values = ""
    if data is not None:
        # "<" inside a script element could end it, whatever the JSON quotes say.
        text = json.dumps(as_json(data), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        values = f'<script type="application/json" id="data">{text}</script>\n'
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{as_html(title)}</title>\n<style>\n{sheets}</style>\n</head>\n<body>\n"
        f"<h1>{as_html(title)}</h1>\n{body}\n{values}{code}</body>\n</html>\n"
    )


def list_of(lines: Iterable[str]) -> str:
    """Return lines of text as a list."""
    return f"<ul>{''.join(f'<li>{as_html(line)}</li>' for line in lines)}</ul>"


def table_of(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of text that scrolls sideways where it must; the first cell of a row names it."""
    names = "".join(f"<th scope=col>{as_html(name)}</th>" for name in head)
    body = "".join(
        f"<tr><th scope=row>{as_html(row[0])}</th>{''.join(f'<td>{as_html(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows
    )
    return f"<div class=scroll tabindex=0><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>"


def figure_of(picture: bytes, about: str, kind: str = "image/png") -> str:
    """Return a picture inside the page, with text below it that also stands for it."""
    data, words = base64.b64encode(picture).decode(), as_html(about)
    return f'<figure><img alt="{words}" src="data:{kind};base64,{data}"><figcaption>{words}</figcaption></figure>'
