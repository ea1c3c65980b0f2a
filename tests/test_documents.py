"""Every document and section that code, recipes and documents name exists."""

import dataclasses
import re

from support.checkout import ROOT, tracked_files

from eval.davis.protocols import PROTOCOLS as DAVIS
from eval.jhmdb.protocols import PROTOCOLS as JHMDB
from eval.knn.protocol import BBOX
from eval.segment.protocols import PROTOCOLS as SEGMENTATION
from eval.vip.protocols import PROTOCOLS as VIP
from eval.ytvos.protocols import PROTOCOLS as YTVOS
from flsl.objective import Stage
from pretrain.methods.flsl import Recipe

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "docs").glob("*.md")}
SECTION = re.compile(r"^#+ (.+)$", re.M)
SECTIONS = {name: set(SECTION.findall(text)) for name, text in PAGES.items()}
# In text that is joined to one line: a page, and the sections named after it, such as docs/method.md, "Views" and "Head".
NAMED = re.compile(r'(?<![\w/])([\w./-]+\.md)((?:,? (?:and )?"[^"]+")*)')
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(#[^)]*)?\)")


def named_in(path):
    """Pairs of a document's path from the root and a section's name, or None, in one file."""
    text = re.sub(r"\s*\n\s*(# ?)?", " ", (ROOT / path).read_text())
    for name, sections in NAMED.findall(text):
        beside = (path.parent / name).as_posix()
        found = next((option for option in (name, beside) if (ROOT / option).is_file()), name)
        yield from ((found, section) for section in re.findall(r'"([^"]+)"', sections) or [None])


def test_named_documents_and_sections_exist():
    wrong, seen = [], set()
    for path in tracked_files("*.py", "*.sh", "*.md", "Makefile"):
        if path.is_relative_to("tests/hostile"):  # whose file names are made up
            continue
        for name, section in named_in(path):
            seen.add((name, section))
            if not (ROOT / name).is_file() or (section and section not in SECTIONS.get(name, ())):
                wrong.append(f"{path} names {name}, {section}")
    assert not wrong, wrong
    # The pattern finds what it is for.
    assert {("docs/method.md", "Losses"), ("docs/method.md", "Mean-shift"), ("docs/protocols.md", "UAVDT")} <= seen


def test_links_lead_somewhere():
    wrong = []
    for path in tracked_files("*.md"):
        for target, anchor in LINK.findall((ROOT / path).read_text()):
            file = (ROOT / path.parent / target).resolve() if target else ROOT / path
            anchors = (
                {slug(section) for section in SECTION.findall(file.read_text())} if anchor and file.is_file() else {""}
            )
            if "://" not in target and not (file.exists() and anchor[1:] in anchors):
                wrong.append(f"{path} links to {target}{anchor}")
    assert not wrong, wrong


def test_recipe_keys_of_the_specification_exist():
    sections = {field.name: field.type for field in dataclasses.fields(Recipe)} | {"stage": Stage}
    named = re.findall(r"`([a-z_]+)\.([a-z_]+)`", PAGES["docs/method.md"])
    keys = {(section, key) for section, key in named if section in sections}
    assert len(keys) > 30
    wrong = {
        f"{section}.{key}"
        for section, key in keys
        if key not in {field.name for field in dataclasses.fields(sections[section])}
    }
    assert not wrong


def test_constants_of_the_protocols_are_described():
    page = PAGES["docs/protocols.md"]
    for data, protocols in {"davis2017": DAVIS, "vip": VIP, "jhmdb": JHMDB, "ytvos2018": YTVOS}.items():
        assert not [key for protocol in protocols.values() if (key := protocol.key(data)) not in page]
    assert BBOX.name in page
    assert not [name for name in SEGMENTATION if f"`{name}`" not in page]


def slug(section):
    """The anchor that a heading gets."""
    return re.sub(r"[^\w -]", "", section.lower()).replace(" ", "-")
