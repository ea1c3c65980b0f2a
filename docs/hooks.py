"""What the documentation site has besides the files in docs/: documents from elsewhere, and pages that follow from code.

mkdocs calls the functions `on_...`; mkdocs.yml names this file.
"""

import os
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

from flsl.__main__ import COMMANDS as FLSL
from flsl.__main__ import PROGRAMS
from flsl.runtime.program import build_parser
from flsl.runtime.recipes import named_recipes
from results.benchmarks import BENCHMARKS
from results.declaration import Benchmark
from results.published import read_figures

ROOT = Path(__file__).resolve().parent.parent
# Documents that stay beside what they are about -> their page.
ELSEWHERE = {
    "README.md": "suite",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "flsl/formats/README.md": "formats",
    "results/published/README.md": "published-figures",
    "results/hardware/README.md": "hardware",
}
PAGE = ".md"
PROTOCOLS = ROOT / "docs/protocols.md"
HOME = {page + PAGE: path for path, page in ELSEWHERE.items()}
# What the pages on Python show: package -> modules, whose docstrings they are.
MODULES = {
    "flsl": "flsl.checkpoint flsl.encoder flsl.architecture flsl.head flsl.model flsl.losses flsl.mean_shift flsl.objective "
    "flsl.source flsl.weights flsl.formats flsl.formats.found flsl.hub flsl.runtime.config flsl.runtime.schema flsl.runtime.recipes "
    "flsl.runtime.run_folder flsl.runtime.errors",
    "pretrain": "pretrain pretrain.recipe",
    "eval": "eval eval.run eval.predictor eval.davis.run eval.coco.run eval.uavdt.run eval.knn.run eval.segment.run eval.discovery.run",
    "results": "results.record results.store results.declaration results.leaderboard results.compare results.bootstrap "
    "results.tables results.published results.frame",
}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def on_files(files, config):
    """Add the pages."""
    os.environ.setdefault("COLUMNS", "110")  # of the help texts
    pages = {page: (ROOT / path).read_text() for path, page in ELSEWHERE.items()}
    pages["commands"] = commands_page()
    pages |= {f"benchmarks/{b.command}": benchmark_page(b) for b in BENCHMARKS.values()}
    pages |= {f"api/{package}": api_page(package) for package in MODULES}
    for page, text in pages.items():
        files.append(File.generated(config, page + PAGE, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Lead links and pictures of documents to where the site has them; a link to any other file becomes its name."""
    here = page.file.src_uri
    home = HOME.get(here, f"docs/{here}")

    def lead(link):
        picture, words, target, anchor = link.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(home), target))
        uri = ELSEWHERE[path] + PAGE if path in ELSEWHERE else path.removeprefix("docs/")
        if files.get_file_from_path(uri) is None:
            return words
        return f"{picture}[{words}]({posixpath.relpath(uri, posixpath.dirname(here) or '.')}{anchor or ''})"

    return LINK.sub(lead, markdown)


def benchmark_page(benchmark: Benchmark) -> str:
    """Return the page of one benchmark, from its declaration, its command and the published figures."""
    module = __import__(f"eval.{benchmark.command}.command", fromlist=["command"])
    recipes = [name for size in ("s16", "s8") for name in named_recipes(benchmark.recipes.format(size=size))]
    facts = {
        "Command": f"`flsl eval {benchmark.command}`, `make eval-{benchmark.command}`",
        "Folders of its data": ", ".join(f"`{folder}`" for folder in benchmark.data_folders),
        "Check a copy": f"`flsl eval data verify {benchmark.command} DIR`" if benchmark.verified else "no checker",
        "Evaluated one by one": benchmark.item,
        "Cost at full size, ViT-S/16": f"GPU: {benchmark.costs.gpu}; CPU: {benchmark.costs.cpu}",
        "Recipes": ", ".join(f"`{Path(name).stem}`" for name in recipes) or "none: the protocol fixes everything",
    }
    heading = re.search(rf"^## ({re.escape(benchmark.title)})$", PROTOCOLS.read_text(), re.M)
    anchor = "#" + heading[1].lower().replace(" ", "-") if heading else ""
    lines = [f"# {benchmark.title}", "", f"{benchmark.summary[:1].upper()}{benchmark.summary[1:]}.", ""]
    lines += _table(("what", "value"), facts.items())
    lines += [
        "## Command and data",
        "",
        "```text",
        as_console(module.__doc__).strip(),
        "```",
        "",
        "## Protocols and metrics",
        "",
    ]
    rows = [(f"`{p.pattern}`", f"`{p.headline}`", ", ".join(m.heading for m in p.metrics)) for p in benchmark.protocols]
    lines += _table(("protocol", "what ranks", "metrics of a record"), rows)
    lines += [f"[Every constant and definition](../{PROTOCOLS.name}{anchor}).", "", "## Expected figures", ""]
    names = {table.name for table in benchmark.tables}
    figures = [figure for figure in read_figures() if figure.table in names]
    lines += ["Published figures; `verified` was read in the source by who added it, `quoted` in another text.", ""]
    rows = [(f.method, f.backbone, f.protocol, f.metric, f"{f.value:.1f}", f.status, f.source) for f in figures]
    lines += _table(("method", "backbone", "protocol", "metric", "value", "status", "source"), rows)
    return "\n".join(lines)


def commands_page() -> str:
    """Return the help of every command."""
    lines = [
        "# Commands",
        "",
        "`flsl NAME` and `python -m flsl NAME` are the same; so are `flsl eval` and `python -m eval`.",
        "",
    ]
    from eval.__main__ import COMMANDS as EVAL
    from pretrain.__main__ import build_parser as pretraining
    from results.__main__ import COMMANDS as RESULTS

    listed = {name: line for name, (_, line) in PROGRAMS.items()} | FLSL
    helps = {"pretrain": pretraining().format_help()}
    for program, commands, modules in (
        ("flsl", FLSL, "flsl.commands.{}"),
        ("eval", EVAL, "eval.{}.command"),
        ("results", RESULTS, "results.commands.{}"),
    ):
        parsers = build_parser(program, "", commands, modules)._subparsers._group_actions[0].choices
        for name, parser in parsers.items():
            helps[f"{program} {name}".removeprefix("flsl ")] = parser.format_help()
    lines += _table(("program", "what it does"), [(f"`flsl {name}`", words) for name, words in listed.items()])
    for name, text in helps.items():
        lines += [f"## flsl {name}", "", "```text", as_console(text).strip(), "```", ""]
    return "\n".join(lines)


def api_page(package: str) -> str:
    """Return the page of a package's public modules, which mkdocstrings fills in."""
    return "\n\n".join([f"# {package}", *(f"::: {module}" for module in MODULES[package].split())])


def as_console(text: str) -> str:
    """Return text with the console command in place of `python -m`."""
    return text.replace("python -m flsl", "flsl").replace("python -m ", "flsl ")


def _table(heads, rows) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    return [*lines, *(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in rows), ""]
