"""Every command in documents, docstrings and recipe headers is one that its program takes: its words, its options, its choices."""

import argparse
import itertools
import re
import shlex
import subprocess
from functools import cache
from importlib import import_module
from pathlib import Path

from support.checkout import ROOT, tracked_files

import eval.__main__
import flsl.__main__
import pretrain.__main__
import pretrain.bench
import results.__main__
from eval.protocol import find_protocol
from flsl.runtime.errors import UserError
from flsl.runtime.program import build_parser
from results.benchmarks import BENCHMARKS

NAMES = "|".join(flsl.__main__.PROGRAMS | flsl.__main__.COMMANDS)
COMMAND = re.compile(rf"(?:python3? -m (?:eval|pretrain|results|flsl)(?![.\w])|flsl (?={NAMES})).*")
# What a parser is given for a word that it looks at.
VALUES = {"N": "2", "H": "2", "X,Y": "0.5,0.5", "TABLE": "coco", "PROTOCOL": "linear-leopart"} | dict.fromkeys(
    ("BENCHMARK", "COMMAND"), "uavdt"
)
WRAPPED = r"\s*\\\n\s*(?:# *)?|\"\n\s*f?\""  # a command over two lines, a string over two
NOTE = re.compile(r"(?<=\s)(\S*[^a-z\s]\S*)\s{2,}(?=[a-z#]).*")  # beside a command
NO_WORDS = re.compile(
    r"\[--[\w-]+ \.\.\.\]|\[[a-z]+ [a-z]+\]|(?<=[ [])\.\.\.|[][]"
)  # once more, [size options], ..., brackets


def commands_in(path: Path) -> list[tuple[str, bool]]:
    """Return the commands of a file, and whether each stands on a line of its own, where it is whole."""
    text = re.sub(WRAPPED, " ", (ROOT / path).read_text())
    lines = (re.sub(r'^(?:#|""")?\s*', "", line.strip()) for line in text.splitlines())
    alone = [(match[0], True) for line in lines if (match := COMMAND.match(line)) and "`" not in line]
    blocks = "".join(re.findall(r"```bash\n(.*?)```", text, re.S)).splitlines()
    alone += [(line, True) for line in blocks if line.startswith("flsl ")]
    spans = (re.sub(r"\s*\n[ #]*", " ", span) for span in re.findall(r"`([^`]+)`", text.replace("```", "")))
    return alone + [(match[0], False) for span in spans if (match := COMMAND.match(span))]


def words_of(command: str) -> list[list[str]]:
    """Return the words of a command, once for each choice `A|B` in it: options in brackets are given, notes left out."""
    command = NOTE.sub(r"\1", command.partition(" #")[0])
    command = re.sub(
        r"\{[^}]*\}", VALUES["BENCHMARK"], command
    )  # what code puts into a string is a benchmark or a path
    command = re.sub(r"^python3? -m ", "", NO_WORDS.sub("", command.replace("eval ...", "eval coco")))
    chosen = [[VALUES.get(choice, choice) for choice in word.split("|")] for word in command.split()]
    return [list(choice) for choice in itertools.product(*chosen)]


def parse(words: list[str]) -> None:
    """Let the program's own parser read its words; what it leaves to the program must be there, too: protocols and recipes."""
    program, *words = words
    if program == "flsl" and words and words[0] in flsl.__main__.PROGRAMS:
        program, words = ("eval", words) if words[0] == "quick" else (words[0], words[1:])
    if not words:
        return  # its name alone
    if words[0] == "launch":
        return parse(words[2:]) if words[1:] else None
    given = vars(parser_of(program, words[0]).parse_args(words[words[0] == "bench" :]))
    if program == "eval" and (protocol := given.get("protocol")) and protocol != "NAME":
        find_protocol(protocol, import_module(f"eval.{words[0]}.protocols").PROTOCOLS)
    if missing := [
        word for word in words if word.startswith("configs/") and not (ROOT / word.replace("NAME", "small")).exists()
    ]:
        raise ValueError(f"{missing[0]} does not exist")


@cache
def parser_of(program: str, first: str) -> argparse.ArgumentParser:
    """Return the parser of a program that is given this word first."""
    if program == "pretrain":
        return pretrain.bench.build_parser() if first == "bench" else pretrain.__main__.build_parser()
    module, folders = {
        "flsl": (flsl.__main__, "flsl.commands.{}"),
        "eval": (eval.__main__, "eval.{}.command"),
        "results": (results.__main__, "results.commands.{}"),
    }[program]
    return build_parser(program, "", module.COMMANDS, folders, chosen=first)


def test_documented_commands_are_accepted(monkeypatch):
    def refuse(_, message):
        raise ValueError(message)

    monkeypatch.setattr(argparse.ArgumentParser, "error", refuse)
    wrong, seen = [], 0
    for path in tracked_files("*.md", "*.py", "*.sh", "*.yml", "Dockerfile"):
        if path.parts[0] == "tests" or path.name in ("CHANGELOG.md", "hooks.py"):
            continue
        for command, alone in commands_in(path):
            for words in words_of(command):
                seen += 1
                try:
                    parse([word for word in words if word != "--help"])
                except (ValueError, UserError) as error:
                    if "required" not in str(error) or (alone and "..." not in command):
                        wrong.append(f"{path}: {command}: {error}")
    assert not wrong, "\n".join(wrong)
    assert seen > 200


def test_documented_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M)) | {f"eval-{b.command}" for b in BENCHMARKS.values()}
    settings = set(re.findall(r"^([A-Z_]+) [?:]?=", makefile, re.M))
    wrong, seen = [], set()
    for path in tracked_files("*.md", "*.py"):
        text = (ROOT / path).read_text()
        for words in re.findall(r"(?:`|^ {0,4})make ((?:[A-Z]+=\S+ )*[a-z][a-z-]*(?: [A-Z]+=)*)", text, re.M):
            names = [word.partition("=")[0] for word in words.split()]
            seen |= {*names}
            if (
                path.parts[0] != "tests"
                and path.name != "CHANGELOG.md"
                and not {*names} <= targets | settings | {"eval-"}
            ):
                wrong.append(f"{path}: make {words}")
    assert not wrong, "\n".join(wrong)
    assert {"gpu-check", "docs", "lint", "WHEELS", "PYTHON"} <= seen


def test_make_takes_paths_with_spaces():
    words = ["CHECKPOINT=my runs/encoder.safetensors", "DATA=my data", "OUT=my runs/a", "TABLE=davis"]
    for target in ("eval-davis", "reproduce"):
        printed = subprocess.run(["make", "-n", target, *words], cwd=ROOT, capture_output=True, text=True).stdout
        (line,) = (line for line in printed.splitlines() if " -m " in line and "pip" not in line)
        assert {"my runs/encoder.safetensors", "my data", "my runs/a"} < {*shlex.split(line.partition("||")[0])}
