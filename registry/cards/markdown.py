"""A model card as Markdown, as it is kept beside a model's files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from common.wording import metric as in_words

# What would begin or end something in Markdown, or open a tag.
SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")
BEGINS = re.compile(r"^(\d*)([-+=~.)])")  # a list, a line, an underlined title at the beginning of a paragraph


def text(card: dict[str, Any]) -> str:
    return "\n".join(_lines(card)) + "\n"


def _lines(card: dict[str, Any]) -> Iterator[str]:
    version, task, data = card["version"], card["task"], card["data"]
    yield f"# {_plain(version['name'])}"
    yield ""
    yield f"{_plain(task['title'])} (`{task['recipe']}`): {_plain(task['summary'])}"
    yield f"Trained {version['trained_at']:%Y-%m-%d %H:%M} UTC, owned by {_plain(version['owner'])}."
    yield f"It is {version['standing']}."
    yield from _section(
        "What to know before it is used", [f"- {_plain(one)}" for one in card["limits"]] or ["Nothing."]
    )
    yield from _section("What its owner says", _notes(card["notes"]))
    yield from _section("Figures", _metrics(card))
    for group in card["groups"]:
        yield from _section(_plain(group["title"]), _table(group["columns"], group["rows"]))
    yield from _section("Data", _data(data) if data else ["It is not known here."])
    yield from _section("Settings", [f"- {_plain(name)}: {_value(value)}" for name, value in card["settings"].items()]
                        + [f"- seed: {card['seed']}"])  # fmt: skip
    yield from _section("Where it comes from", _origin(card))
    yield from _section("Names it had", [
        f"- {one['at']:%Y-%m-%d}: {one['name']} ({one['how']}) by {_plain(one['by'] or 'a policy')}"
        + (f": {_plain(one['reason'])}" if one["reason"] else "")
        for one in card["names"]
    ])  # fmt: skip
    yield from _section("Files", _table(
        ["File", "Bytes", "SHA-256"], [[file["name"], file["bytes"], file["sha256"]] for file in card["files"]]
    ))  # fmt: skip


def _notes(notes: dict[str, dict[str, Any] | None]) -> list[str]:
    lines: list[str] = []
    for whose, said in (("this version", notes["version"]), ("all versions", notes["model"])):
        for name, title in (("intended_use", "Intended use"), ("limits", "Limits")):
            if said and said[name]:
                lines += [f"**{title}** of {whose}, by {_plain(said['by'])} ({said['at']:%Y-%m-%d}):", ""]
                lines += [part for line in said[name].splitlines() if line.strip() for part in (_paragraph(line), "")]
    return lines[:-1]


def _metrics(card: dict[str, Any]) -> list[str]:
    before = card["version_before"]
    head = ["Figure", "This version", "Baseline", f"Version {before['number']}" if before else "Version before"]
    return _table(head, [
        [m["title"], *(in_words(m["name"], m[key]) for key in ("value", "baseline", "before"))] for m in card["metrics"]
    ])  # fmt: skip


def _data(data: dict[str, Any]) -> list[str]:
    gates = data["gates"]
    lines = [
        f"- {_plain(data['dataset'])}, version {data['version']} ({data['modality']})",
        f"- Content: `{data['content_hash']}`",
        "- " + ", ".join(f"{name}: {count:,}" for name, count in data["counts"].items()),
        f"- Left out: {_plain(data['left_out_in_words'])}" if data["left_out"] else "- Nothing was left out.",
        f"- Gates now: {gates['approvals']} approvals by experts, {'rules apply' if gates['governed'] else 'no rules'}",
    ]
    if data["classes"]:
        lines.append(f"- Classes: {', '.join(_plain(str(name)) for name in data['classes'])}")
    return lines + [f"- {_plain(name)}: {_value(value)}" for name, value in data["metadata"].items()]


def _origin(card: dict[str, Any]) -> list[str]:
    origin, environment = card["lineage"], card["environment"]
    lines = [f"- Job {origin['job']}"] if origin["job"] else []
    if origin["base_version"]:
        lines.append(f"- Base version: {_plain(origin['base_version']['name'])}")
    if origin["base_model"]:
        lines.append(f"- Base model: {_plain(origin['base_model'])}")
    lines += [f"- Code: {_value(card['code'])}"] if card["code"] else []
    return lines + ([f"- Environment: {_value(environment)}"] if environment else [])


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    body = list(lines)
    if body:
        yield from ("", f"## {title}", "", *body)


def _table(head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> list[str]:
    if not rows:
        return []
    return [_row(head), _row(["---"] * len(head)), *(_row([_value(cell) for cell in row]) for row in rows)]


def _row(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    plain = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return _plain(plain) or "–"


def _plain(words: str) -> str:
    """Text that a person wrote, so that nothing of it is taken for Markdown or HTML."""
    return SPECIAL.sub(r"\\\1", " ".join(str(words).split()))


def _paragraph(line: str) -> str:
    """A line that a person wrote, as a paragraph of its own."""
    return BEGINS.sub(r"\1\\\2", _plain(line))
