"""Fields and helpers of the API: bounded numbers, texts of limited length, validated input."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from common.numbers import BIGINT_MAX
from common.parsers import check_text

SHOWN = 60  # characters of a wrong name that an answer repeats


class FiniteFloatField(serializers.FloatField):
    """A float that is neither NaN nor infinite, which Python would otherwise read from 'nan' or 1e999."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool):
            self.fail("invalid")
        try:
            value = super().to_internal_value(data)
        except OverflowError:
            self.fail("invalid")
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class WholeField(serializers.IntegerField):
    """A whole number that the database can hold; a boolean is none."""

    def __init__(self, *, min_value: int = 0, max_value: int = BIGINT_MAX, **options: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **options)

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or (isinstance(data, float) and not data.is_integer()):
            self.fail("invalid")
        try:
            return super().to_internal_value(data)
        except OverflowError:
            self.fail("invalid")


class IdField(WholeField):
    """The id of a row."""

    def __init__(self, **options: Any) -> None:
        super().__init__(min_value=1, **options)


class MomentField(serializers.DateTimeField):
    """A time that says its zone: one without would be another moment for each reader."""

    default_error_messages = {
        "naive": "Say the time zone too, as in 2026-03-01T14:00:00Z or 2026-03-01T15:00:00+01:00."
    }

    def enforce_timezone(self, value: datetime) -> datetime:
        if timezone.is_naive(value):
            self.fail("naive")
        return super().enforce_timezone(value)


class TextField(serializers.CharField):
    """A text whose length is limited; 200 characters unless told otherwise."""

    def __init__(self, *, max_length: int = 200, **options: Any) -> None:
        super().__init__(max_length=max_length, **options)


class Input(serializers.Serializer):
    """Base of all bodies and queries: a name that is not listed is refused, at any depth."""

    @classmethod
    def read(cls, data: Any, *, beside: Collection[str] = ()) -> dict[str, Any]:
        """The validated values; ValidationError (400) names each wrong field. `beside` are names that others read."""
        form = cls(data=data, context={"beside": beside})
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        beside = self.context.get("beside", ()) if self.parent is None else ()
        unknown = unknown_names(data, [*self.fields, *beside]) if isinstance(data, Mapping) else {}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**unknown, **error.detail}) from None
        if unknown:
            raise serializers.ValidationError(unknown)
        return values


def unknown_names(given: Iterable[str], known: Collection[str]) -> dict[str, list[str]]:
    """The names that are none of the known ones, each with the nearest of these, or all of them. At most ten."""
    found = [name for name in map(str, given) if name not in known][:10]
    return {name[:SHOWN]: [_not_known(name[:SHOWN], known)] for name in found}


def _not_known(name: str, known: Collection[str]) -> str:
    if near := get_close_matches(name, known, n=1):
        return f"This name is not known here. Did you mean '{near[0]}'?"
    if not known:
        return "This takes no input."
    return f"This name is not known here. Known are: {', '.join(known)}."


def refuse_bad_text(values: Mapping[str, str]) -> None:
    """For input that no serializer reads: ValidationError for text that the database can't hold."""
    for name, text in values.items():
        try:
            check_text(text)
        except ValueError as error:
            raise serializers.ValidationError({name: [str(error)]}) from error
