"""Write the paper's tables with our measured rows beside the published ones.

    python -m results table TABLE|all [--records DIR] [--format md|csv|tex|html] [--out FILE]

Each measured row carries its 95 % interval, the difference to the published figure and a verdict: reproduced, below,
above, or no reference. Results on other data or by another protocol follow in a section of their own. LaTeX needs
booktabs, siunitx and etoolbox, and cites references.bib, which is written beside --out unless one is there.
"""

import argparse
from pathlib import Path

from results.commands.arguments import add_records_argument, deliver, load_board
from results.paper import TABLES, table_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.add_argument("table", help=f"{', '.join(TABLES)} or all")
    add_records_argument(parser, required=False)
    parser.add_argument("--format", choices=("md", "csv", "tex", "html"), default="md", help="default: %(default)s")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write here (default: print)")


def run(arguments: argparse.Namespace) -> int:
    """Write or print the table; returns 0."""
    from flsl.runtime.files import write_text
    from results import render
    from results.page import make_page
    from results.published import FOLDER, read_published
    from results.render_tex import BIBLIOGRAPHY, to_tex
    from results.tables import build_table

    names = table_names(arguments.table)
    rows = load_board(arguments.records, arguments.out)[0].rows if arguments.records else []
    published = read_published()
    tables = [build_table(name, rows, published) for name in names]
    write = {"md": render.to_markdown, "csv": render.to_csv, "tex": to_tex, "html": render.to_html}
    text = write[arguments.format](tables)
    if arguments.format == "html":
        text = make_page("Published and measured results", text)
    deliver(text, arguments.out, f"{len(tables)} table{'s' * (len(tables) > 1)}")
    if arguments.out and arguments.format == "tex":
        works = arguments.out.parent / f"{BIBLIOGRAPHY}.bib"
        if not works.exists():
            write_text(works, (FOLDER / works.name).read_text(encoding="utf-8"))
    return 0
