"""Self-contained HTML pages: style, script and data inside the file, nothing fetched from anywhere."""

import json
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
