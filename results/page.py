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
    """Return a table of text; the first cell of a row names it. See `grid_of`."""
    named = ((f"<th scope=row>{as_html(first)}</th>", rest) for first, *rest in rows)
    return grid_of(head, [[name, *(f"<td>{as_html(cell)}</td>" for cell in rest)] for name, rest in named])


def grid_of(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a table of cells, elements that begin with `<td` or `<th`. Its rows become cards on a narrow screen; on others
    it scrolls sideways where it must."""
    labels = [as_html(name) for name in head]
    names = "".join(f"<th scope=col>{name}</th>" for name in labels)
    labeled = [[f'{cell[:3]} data-label="{name}"{cell[3:]}' for name, cell in zip(labels, cells)] for cells in body]
    lines = "".join(f"<tr>{''.join(cells)}</tr>" for cells in labeled)
    grid = f"<table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table>"
    return f"<div class='scroll cards' tabindex=0>{grid}</div>"


def figure_of(picture: bytes, about: str, kind: str = "image/png", *, plot: bool = False) -> str:
    """Return a picture inside the page, with text below it that also stands for it; a plot is dark where the page is."""
    data, words = base64.b64encode(picture).decode(), as_html(about)
    image = f'<img{" class=plot" if plot else ""} alt="{words}" src="data:{kind};base64,{data}">'
    return f"<figure class=scroll>{image}<figcaption>{words}</figcaption></figure>"
