"""Templates make texts of rows, say what is wrong in words, and never run anything."""

from __future__ import annotations

import math
import time
from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.errors import InvalidInputError
from datasets.rendering.templating import FILTERS, MAX_BYTES, RowProblemError, parse

COLUMNS = ["age", "name", "kind", "Air temperature [K]", 'a "quoted" one', "tags", "day"]
ROW = {
    "age": 41, "name": " ada ", "kind": "L", "Air temperature [K]": 298.14, 'a "quoted" one': "q",
    "tags": ["x", None, "y"], "day": date(2026, 3, 1),
}  # fmt: skip


def made(source, row=None, columns=COLUMNS):
    return parse(source, columns, part="prompt").render(ROW if row is None else row)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Age {{ age }}.", "Age 41."),
        ('{{ row["Air temperature [K]"]|round(1) }} K', "298.1 K"),
        ('{{ row["Air temperature [K]"]|round }} K', "298 K"),
        ("{{ row['a \"quoted\" one'] }}", "q"),
        ("{{ name|trim|title }} / {{ name|upper|trim }}", "Ada / ADA"),
        ("{{ tags }} / {{ tags|join('-') }}", "x, y / x-y"),
        ("{{ name|trim|truncate(2) }}", "a…"),
        ("{% if age > 40 and kind == 'L' %}old L{% else %}other{% endif %}", "old L"),
        ("{% if age < 18 %}child{% elif not kind %}none{% else %}adult{% endif %}", "adult"),
        ("{% if kind in ['L', 'M'] %}in{% endif %}{% if kind not in ['H'] %}out{% endif %}", "inout"),
        ("{% if age > -5 or missing %}yes{% endif %}", "yes"),
        ("{% if day >= '2026-01-01' %}{{ day }}{% endif %}", "2026-03-01"),
        ("{# said nowhere #}{% raw %}{{ age }}{% endraw %}", "{{ age }}"),
        ("  trimmed  \n", "trimmed"),
    ],
)
def test_what_templates_make(source, text):
    assert made(source, columns=[*COLUMNS, "missing"]) == text


@pytest.mark.parametrize("empty", [None, "", "  ", math.nan])
def test_a_cell_that_is_empty_is_told_unless_there_is_a_default(empty):
    row = {"age": empty}
    with pytest.raises(RowProblemError, match=r"'age' is empty; age\|default"):
        made("{{ age }}", row)
    with pytest.raises(RowProblemError, match="'age' is empty"):
        made("{{ age|upper }}", row)
    assert made('{{ age|default("unknown") }}', row) == "unknown"
    assert made("{% if age %}yes{% else %}no{% endif %}", row) == "no"
    assert made("{% if age > 3 or age < 3 %}yes{% else %}no{% endif %}", row) == "no"


def test_values_are_written_as_people_write_them():
    row = {"age": datetime(2026, 3, 1, 14, 5), "name": True, "kind": 3.0}
    assert made("{{ age }} {{ name }} {{ kind }} {{ kind|round }}", row) == "2026-03-01 14:05:00 true 3.0 3"
    for odd in (b"bytes", {"a": 1}, object()):
        with pytest.raises(RowProblemError, match="can't be written as text"):
            made("{{ age }}", {"age": odd})
    with pytest.raises(RowProblemError, match="A text can't be compared with a number"):
        made("{% if name > 3 %}x{% endif %}", {"name": "ada"})
    with pytest.raises(RowProblemError, match="is no number"):
        made("{{ name|round }}", {"name": "ada"})


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("a\n{{ agee }}", "Line 2 of the prompt: there is no column 'agee'.", "Did you mean {{ age }}?"),
        ("{{ zzz }}", "there is no column 'zzz'", "The columns are: age, name"),
        ('{{ row["Air temperature"] }}', "no column 'Air temperature'", '{{ row["Air temperature [K]"] }}'),
        ("{{ age|uper }}", "there is no filter 'uper'", "Did you mean 'upper'?"),
        ("{{ age|round('x') }}", "can't stand in the brackets", "column|round(2)"),
        ("{{ age|round(99) }}", "from 0 to 12", "column|round(2)"),
        ("{{ age|default(name) }}", "takes a text or number", "default"),
        ("{{ age", "Line 1 of the prompt: unexpected end", "Write {{ column }}"),
        ("{% if age %}x", "endif", "close each"),
        ("{{ age.__class__ }}", "attributes can't be used", "columns, filters and {% if %}"),
        ("{% for x in tags %}{{ x }}{% endfor %}", "loops can't be used", "columns"),
        ("{{ 3 < age < 5 }}", "one comparison at a time", "a > 1 and a < 5"),
        ("x" * 10_001, "longer than 10,000 characters", "Shorten"),
        ("{{ age }}" * 201, "more than 200 parts", "fewer"),
        ("{% if age %}" * 21 + "{% endif %}" * 21, "nested deeper than 20", "fewer"),
    ],
)
def test_mistakes_are_told_with_their_line_and_what_to_do(source, message, hint):
    with pytest.raises(InvalidInputError) as told:
        parse(source, COLUMNS, part="prompt")
    assert message in told.value.message
    assert hint in told.value.hint
    assert "prompt" in told.value.fields


HOSTILE = [
    "{{ age.__class__.__mro__[1].__subclasses__() }}", '{{ ""["__class__"] }}', "{{ row.__init__.__globals__ }}",
    "{{ age|attr('__class__') }}", "{{ self._TemplateReference__context }}", "{{ cycler.__init__ }}",
    '{{ row["age"]["__class__"] }}', "{{ ().__class__ }}", "{% import 'os' as os %}", "{% include '/etc/passwd' %}",
    "{% extends 'x' %}", "{% set x = 1 %}", "{% macro m() %}{% endmacro %}", "{% call m() %}{% endcall %}",
    "{% filter upper %}{% endfilter %}", "{% with x = age %}{% endwith %}", "{% block b %}{% endblock %}",
    "{% autoescape true %}{% endautoescape %}", "{% do age %}", "{% trans %}{% endtrans %}", "{% debug %}",
    "{{ 9 ** 9 ** 9 }}", '{{ "a" * 999999999 }}', "{{ age ~ age }}", "{{ range(999999999) }}", "{{ [age] }}",
    "{{ {age: 1} }}", "{{ age[0:5] }}", "{{ age if age else 1 }}", "{{ age is defined }}", "{{ -age }}",
    "{{ lipsum() }}", "{{ '%c' % 65 }}", "{{ '{0.__class__}'.format(age) }}", "{{ age|map('upper')|list }}",
    "{{ age|center(99999999) }}", "{{ age|replace('a', 'aaaaaaaa') }}", "{{ age|tojson }}", "{{ age|safe }}",
    "{{ age|join(attribute='__class__') }}", "{{ age|round(2, 'ceil') }}",
    "{{ " + "(" * 4000 + "1" + ")" * 4000 + " }}",
    "{{ " + "9" * 5000 + " }}", "{{ " + "not " * 2000 + "age }}", "{{ 1e999 }}", r'{{ "\ud800" }}', r'{{ "\x00" }}',
    "{{ super() }}", "{{ caller() }}", "{{ varargs }}", "{{ loop.index }}", "{{ namespace(x=1) }}",
]  # fmt: skip


@pytest.mark.parametrize("source", HOSTILE)
def test_nothing_else_than_columns_filters_and_conditions_is_let_in(source):
    with pytest.raises(InvalidInputError) as told:
        parse(source, COLUMNS)
    assert told.value.hint


class Trap:
    """Any use of it beyond looking at its type is an escape."""

    def __getattribute__(self, name):
        if name == "__class__":
            return Trap
        raise AssertionError(f"touched {name}")

    def __str__(self):
        raise AssertionError("written")

    def __eq__(self, other):
        raise AssertionError("compared")

    __hash__ = None


pieces = st.sampled_from([
    "{{", "}}", "{%", "%}", "{#", "#}", " ", "\n", "age", "name", "row", "[", "]", "(", ")", '"', "'", ".", "|", ",",
    "if", "elif", "else", "endif", "for", "in", "set", "import", "not", "and", "==", "<", "~", "**", "__class__",
    "upper", "default", "round", "truncate", "join", "0", "7", "1e9", "-", "raw", "endraw", "\\", "é", "true", "none",
    "{{ age }}", '{{ row["age"] }}', "{% if age %}", "{% endif %}", "{{ name|upper }}", "|default('x')",
])  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(pieces, max_size=40).map("".join) | st.text(max_size=80), st.booleans())
def test_whatever_is_written_is_a_text_or_a_problem_in_words(source, trapped):
    row = {"age": Trap() if trapped else 3, "name": "ada" * 9}
    started = time.process_time()
    try:
        text = parse(source, ["age", "name"]).render(row)
        assert isinstance(text, str)
        assert len(text.encode("utf-8", "replace")) <= MAX_BYTES
    except InvalidInputError as told:
        assert told.message
        assert told.hint
    except RowProblemError as told:
        assert str(told)
    except AssertionError as touched:
        # Comparing and testing for truth are what `if` is for; reading an attribute never is.
        assert str(touched) == "compared"
    assert time.process_time() - started < 2


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50) | st.binary(max_size=5)
values |= st.lists(st.text(max_size=5) | st.none() | st.integers(), max_size=5) | st.dates() | st.decimals()


@settings(max_examples=200, deadline=None)
@given(values, values, st.sampled_from([*FILTERS]))
@example(Decimal("1e27"), 0, "round")  # more figures than a decimal keeps
def test_every_value_passes_every_filter_and_comparison_or_is_told(left, right, name):
    brackets = {"default": "('x')", "truncate": "(3)", "round": "(2)"}.get(name, "")
    for source in (f"{{{{ a|{name}{brackets} }}}}", "{% if a < b %}1{% elif a == b %}2{% elif a >= b %}3{% endif %}x"):
        try:
            assert isinstance(parse(source, ["a", "b"]).render({"a": left, "b": right}), str)
        except RowProblemError as told:
            assert str(told)


def test_a_row_can_make_no_more_than_64_kib():
    with pytest.raises(RowProblemError, match="more than 64 KiB"):
        made("{{ name }}{{ name }}", {"name": "é" * 20_000})
    with pytest.raises(RowProblemError, match="'name' is longer than 64 KiB"):
        made("{% if name|upper == 'x' %}{% endif %}", {"name": "x" * 70_000})
    with pytest.raises(RowProblemError, match="longer than 64 KiB"):
        made("{{ tags|join }}", {"tags": ["x" * 1000] * 100})
    # The costliest that is let in: many filters over the longest value.
    source = "{% if name|" + "|".join(["upper", "lower", "title"] * 60) + " == 'x' %}{% endif %}"
    started = time.process_time()
    assert made(source, {"name": "x" * MAX_BYTES}) == ""
    assert time.process_time() - started < 2
