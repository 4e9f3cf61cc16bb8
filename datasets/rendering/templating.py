"""Prompt and completion templates over the columns of a table, in a syntax that can run no code.

    {{ age }}                                   a column
    {{ row["Air temperature [K]"] }}            a column whose name is no plain word
    {{ age|default("unknown") }}                filters, see FILTERS
    {% if price > 100 and kind == "L" %}…{% elif … %}…{% else %}…{% endif %}
    {# a comment #}   {% raw %}{{ left as it is }}{% endraw %}

Jinja2's parser reads it; the tree is checked against a short list of nodes and translated into the few operations
below. Nothing is compiled to Python, and there are no attributes, calls, loops, imports or assignments. What a row may
cost is bounded: by the length and number of parts of a template, and by the bytes of what it makes.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes

from common.errors import InvalidInputError
from datasets.rendering.template_values import (
    EMPTY,
    FILTERS,
    MAX_BYTES,
    ORDERS,
    RowProblemError,
    bounded,
    equal,
    is_true,
    ordered,
    shown,
    value_of,
)

__all__ = ["FILTERS", "MAX_BYTES", "RowProblemError", "Template", "parse", "written"]

MAX_TEMPLATE = 10_000  # characters
MAX_PARTS = 200  # columns, filters, comparisons and conditions of one template
MAX_DEPTH = 20  # conditions inside conditions
ROW = "row"
WORDS = {
    "Call": "Calls", "Getattr": "Attributes", "For": "Loops", "Assign": "Assignments", "AssignBlock": "Assignments",
    "Import": "Imports", "FromImport": "Imports", "Include": "Includes", "Extends": "Inheritance", "Block": "Blocks",
    "Macro": "Macros", "CallBlock": "Calls", "FilterBlock": "Filter blocks", "With": "'with' blocks", "Test": "Tests",
    "Slice": "Slices", "CondExpr": "Conditions inside of braces", "Concat": "Joined texts", "Dict": "Dictionaries",
}  # fmt: skip
ALLOWED = "Templates may use columns, filters and {% if %} with comparisons."

Make = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Template:
    """A template that was checked: `columns` are those that it names."""

    source: str
    columns: frozenset[str]
    _parts: tuple[_Part, ...] = field(repr=False)

    def render(self, row: Mapping[str, Any]) -> str:
        """The text that this row makes, without white space at its ends. RowProblemError when it makes none."""
        out = _Output()
        for part in self._parts:
            part(row, out)
        return "".join(out.pieces).strip()


def parse(source: str, columns: Sequence[str] | None = None, *, part: str = "template") -> Template:
    """Check a template. `columns` are those of the sheet; None accepts any name.

    InvalidInputError says in which line of `part` (prompt, completion, system) what is wrong, and what to do.
    """
    if len(source) > MAX_TEMPLATE:
        raise _problem(part, f"The {part} is longer than {MAX_TEMPLATE:,} characters.", "Shorten it.")
    try:
        tree = _parser().parse(source)
    except TemplateSyntaxError as error:
        raise _problem(part, f"Line {error.lineno} of the {part}: {_told(error)}", SYNTAX) from None
    except (ValueError, RecursionError, OverflowError, MemoryError):
        raise _problem(part, f"The {part} can't be read: it is nested too deep, or holds a number too long.", SYNTAX)\
            from None  # fmt: skip
    reader = _Reader(part, columns)
    parts = reader.block(tree.body, 0)
    return Template(source, frozenset(reader.used), parts)


SYNTAX = 'Write {{ column }}, or {{ row["Column with spaces"] }}; close each {% if … %} with {% endif %}.'


def _parser() -> Environment:
    return Environment(keep_trailing_newline=True)  # its parser alone is used: what it would compile to never exists


def _told(error: TemplateSyntaxError) -> str:
    text = " ".join((error.message or "it can't be read").split())[:200]
    return text if text.endswith(".") else f"{text}."


def _problem(part: str, message: str, hint: str) -> InvalidInputError:
    return InvalidInputError(message, hint, fields={part: [f"{message} {hint}"]})


@dataclass
class _Output:
    """What was made so far; it never grows beyond the limit."""

    pieces: list[str] = field(default_factory=list)
    bytes: int = 0

    def add(self, text: str) -> None:
        self.bytes += len(text.encode("utf-8", "replace"))
        if self.bytes > MAX_BYTES:
            raise RowProblemError(f"It makes a text of more than {MAX_BYTES >> 10} KiB.")
        self.pieces.append(text)


_Part = Callable[[Mapping[str, Any], _Output], None]


class _Reader:
    """Translates Jinja2's tree into closures over a row, and refuses every node that it does not know."""

    def __init__(self, part: str, columns: Sequence[str] | None) -> None:
        self.part = part
        self.columns = None if columns is None else list(columns)
        self.known = frozenset(columns or ())
        self.used: set[str] = set()
        self.parts = 0

    def block(self, body: list[nodes.Node], depth: int) -> tuple[_Part, ...]:
        found: list[_Part] = []
        for node in body:
            if isinstance(node, nodes.Output):
                found += [self._output(inner) for inner in node.nodes]
            elif isinstance(node, nodes.If):
                found.append(self._if(node, depth + 1))
            else:
                raise self._refuse(node)
        return tuple(found)

    def _output(self, node: nodes.Expr) -> _Part:
        if isinstance(node, nodes.TemplateData):
            text = node.data
            return lambda row, out: out.add(text)
        make, name = self._expression(node), _subject(node)
        return lambda row, out: out.add(shown(make(row), name))

    def _if(self, node: nodes.If, depth: int) -> _Part:
        if depth > MAX_DEPTH:
            message = f"Line {node.lineno} of the {self.part}: conditions are nested deeper than {MAX_DEPTH} levels."
            raise _problem(self.part, message, "Use fewer.")
        branches = [(self._expression(branch.test), self.block(branch.body, depth)) for branch in (node, *node.elif_)]
        otherwise = self.block(node.else_, depth)

        def choose(row: Mapping[str, Any], out: _Output) -> None:
            chosen = next((parts for test, parts in branches if is_true(test(row))), otherwise)
            for part in chosen:
                part(row, out)

        return choose

    def _expression(self, node: nodes.Node) -> Make:
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise _problem(self.part, f"The {self.part} has more than {MAX_PARTS} parts in braces.", "Use fewer.")
        match node:
            case nodes.Const():
                return _constant(self._checked(node))
            case nodes.Neg(node=nodes.Const(value=int() | float() as number)):
                return _constant(-number)
            case nodes.Name(name=name):
                return self._column(name, node.lineno)
            case nodes.Getitem(node=nodes.Name(name="row"), arg=nodes.Const(value=str() as name)):
                return self._column(name, node.lineno)
            case nodes.Filter():
                return self._filter(node)
            case nodes.Compare():
                return self._compare(node)
            case nodes.And():
                left, right = self._expression(node.left), self._expression(node.right)
                return lambda row: is_true(left(row)) and is_true(right(row))
            case nodes.Or():
                left, right = self._expression(node.left), self._expression(node.right)
                return lambda row: is_true(left(row)) or is_true(right(row))
            case nodes.Not():
                inner = self._expression(node.node)
                return lambda row: not is_true(inner(row))
        raise self._refuse(node)

    def _column(self, name: str, line: int) -> Make:
        if self.columns is not None and name not in self.known:
            near = difflib.get_close_matches(name[:200], self.columns, 1, 0.5)
            hint = f"Did you mean {written(near[0])}?" if near else f"The columns are: {_listed(self.columns)}."
            raise _problem(self.part, f"Line {line} of the {self.part}: there is no column '{name[:100]}'.", hint)
        self.used.add(name)
        return lambda row: value_of(row, name)

    def _filter(self, node: nodes.Filter) -> Make:
        if node.name not in FILTERS:
            near = difflib.get_close_matches(node.name[:50], FILTERS, 1)
            hint = f"Did you mean '{near[0]}'? " if near else ""
            message = f"Line {node.lineno} of the {self.part}: there is no filter '{node.name[:50]}'."
            raise _problem(self.part, message, f"{hint}Known are: {', '.join(FILTERS)}.")
        if node.node is None or node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise self._refuse(node)
        filter_ = FILTERS[node.name]
        given = [self._constant_argument(argument, node) for argument in node.args]
        wrong = filter_.wrong(given)
        if wrong:
            raise _problem(self.part, f"Line {node.lineno} of the {self.part}: {wrong}", filter_.example)
        inner, name = self._expression(node.node), _subject(node)
        apply = filter_.apply

        def make(row: Mapping[str, Any]) -> Any:
            value = inner(row)
            if value is EMPTY and not filter_.takes_empty:
                return value
            return bounded(apply(value, name, *given), name)

        return make

    def _constant_argument(self, node: nodes.Expr, filter_: nodes.Filter) -> Any:
        if not isinstance(node, nodes.Const):
            message = f"Line {filter_.lineno} of the {self.part}: '{filter_.name}' takes a text or number in brackets."
            raise _problem(self.part, message, FILTERS[filter_.name].example)
        return self._checked(node)

    def _compare(self, node: nodes.Compare) -> Make:
        if len(node.ops) != 1:
            message = f"Line {node.lineno} of the {self.part}: one comparison at a time."
            raise _problem(self.part, message, "Write a > 1 and a < 5 instead of 1 < a < 5.")
        operand = node.ops[0]
        left = self._expression(node.expr)
        if operand.op in {"in", "notin"}:
            if not isinstance(operand.expr, nodes.List | nodes.Tuple):
                message = f"Line {node.lineno} of the {self.part}: 'in' looks into a list of texts or numbers."
                raise _problem(self.part, message, 'Write {% if kind in ["L", "M"] %}.')
            makes = [self._expression(inner) for inner in operand.expr.items]
            inside = operand.op == "in"
            return lambda row: any(equal(left(row), make(row)) for make in makes) is inside
        right = self._expression(operand.expr)
        if operand.op in {"eq", "ne"}:
            same = operand.op == "eq"
            return lambda row: equal(left(row), right(row)) is same
        compare = ORDERS[operand.op]
        return lambda row: ordered(compare, left(row), right(row))

    def _checked(self, node: nodes.Const) -> Any:
        """A constant that can be stored and shown."""
        value = node.value
        if isinstance(value, float) and not math.isfinite(value):
            raise _problem(self.part, f"Line {node.lineno} of the {self.part}: a number is too large.", "Use another.")
        if isinstance(value, str) and any(0xD800 <= ord(letter) < 0xE000 or letter == "\x00" for letter in value):
            message = f"Line {node.lineno} of the {self.part}: a text holds a character that can't be stored."
            raise _problem(self.part, message, "Leave it out.")
        return value

    def _refuse(self, node: nodes.Node) -> InvalidInputError:
        kind = type(node).__name__
        hint = ALLOWED
        if isinstance(node, nodes.Getattr | nodes.Getitem):
            hint = f'{ALLOWED} Write {{{{ row["Column with spaces"] }}}} for a column whose name is no plain word.'
        what = WORDS.get(kind, f"'{kind}'")
        message = f"Line {node.lineno} of the {self.part}: {what[0].lower()}{what[1:]} can't be used in a template."
        return _problem(self.part, message, hint)


def written(name: str) -> str:
    """How a template names a column."""
    plain = name.isidentifier() and name not in KEYWORDS
    if plain:
        return f"{{{{ {name} }}}}"
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'{{{{ row["{quoted}"] }}}}'


KEYWORDS = {"and", "or", "not", "in", "is", "if", "else", "elif", "true", "false", "none", "True", "False", "None", ROW}


def _listed(columns: list[str]) -> str:
    shown = ", ".join(columns[:20])
    return f"{shown} and {len(columns) - 20:,} more" if len(columns) > 20 else shown or "none"


def _subject(node: nodes.Node) -> str:
    """The column that an expression is about, for what is said of it."""
    while isinstance(node, nodes.Filter) and node.node is not None:
        node = node.node
    match node:
        case nodes.Name(name=name) | nodes.Getitem(arg=nodes.Const(value=str() as name)):
            return f"'{name[:100]}'"
    return "a value"


def _constant(value: Any) -> Make:
    fixed = EMPTY if value is None else value
    return lambda row: fixed
