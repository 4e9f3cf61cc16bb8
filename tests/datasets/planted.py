"""Varied real text to check, from what Python itself brings along, with faults planted in it."""

from __future__ import annotations

import ast
import random
import re
import sysconfig
from collections import defaultdict
from functools import cache
from pathlib import Path

from datasets.items.rows import address, canonical
from datasets.models import Dataset, Item

# What a paragraph of documentation is about, by the module that it comes from.
SUBJECTS = {
    "windows": ("tkinter", "idlelib", "turtle.py", "turtledemo", "curses"),
    "network": ("email", "http", "urllib", "xmlrpc", "asyncio", "ssl.py", "smtplib.py", "ftplib.py", "imaplib.py",
                "nntplib.py", "poplib.py", "telnetlib.py", "socket.py", "socketserver.py", "mailbox.py", "cgi.py"),
    "building": ("distutils", "ensurepip", "venv", "importlib", "lib2to3", "zipapp.py", "zipimport.py", "pkgutil.py",
                 "ast.py", "tokenize.py", "compileall.py", "modulefinder.py", "unittest", "pdb.py", "bdb.py"),
    "numbers": ("fractions.py", "decimal.py", "_pydecimal.py", "statistics.py", "random.py", "numbers.py",
                "datetime.py", "_strptime.py", "calendar.py", "zoneinfo", "heapq.py", "bisect.py"),
    "": ("argparse.py", "optparse.py", "logging", "multiprocessing", "concurrent", "difflib.py", "inspect.py",
         "doctest.py", "pathlib.py", "os.py", "shutil.py", "tarfile.py", "zipfile.py", "pickletools.py", "xml"),
}  # fmt: skip


@cache
def paragraphs() -> list[tuple[str, str]]:
    """(text, subject) of each paragraph of Python's documentation strings and of its language reference, shuffled.

    The language reference has no subject.
    """
    subject_of = {name: subject for subject, names in SUBJECTS.items() for name in names}
    found: dict[str, str] = {}
    root = Path(sysconfig.get_paths()["stdlib"])
    for name, subject in sorted(subject_of.items()):
        path = root / name
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            if not {"test", "tests"} & set(file.parts):
                found |= {text: subject for text in _documentation(file) if text not in found}
    from pydoc_data.topics import topics

    for text in topics.values():
        for piece in _pieces(text):
            found.setdefault(piece, "")
    made = list(found.items())
    random.Random(1).shuffle(made)
    return made


def rows(dataset: Dataset, contents: list[dict], labels: list[str] | None = None) -> list[Item]:
    """Items that are rows, as an import makes them."""
    labels = labels or [""] * len(contents)
    made = [
        Item(
            dataset=dataset, sha256=address(content), name=f"row-{number}", label=labels[number],
            content=content, media_type="application/vnd.trainhub.row+json", bytes=len(canonical(content)),
            characters=sum(len(part) for part in content.values() if isinstance(part, str)),
        )
        for number, content in enumerate(contents)
    ]  # fmt: skip
    Item.objects.bulk_create(made)
    Dataset.objects.filter(pk=dataset.pk).update(status="active", item_count=dataset.items.count())
    dataset.refresh_from_db()
    return made


def scores(found: set[int], planted: set[int]) -> tuple[float, float]:
    """(recall, precision)."""
    hits = len(found & planted)
    return hits / len(planted), hits / len(found) if found else 0.0


def _documentation(path: Path) -> list[str]:
    try:
        tree = ast.parse(path.read_text("utf-8", "replace"))
    except SyntaxError:
        return []
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = (node for node in ast.walk(tree) if isinstance(node, documented))
    return [piece for node in nodes for piece in _pieces(ast.get_docstring(node) or "")]


def _pieces(text: str) -> list[str]:
    pieces = (" ".join(piece.split()) for piece in re.split(r"\n\s*\n", text))
    return [piece[:800] for piece in pieces if len(piece) >= 80]


def by_subject() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for text, subject in paragraphs():
        if subject:
            found[subject].append(text)
    return found
