"""What the open page of a model is told: that what is in use changed, and is to be asked for again."""

from __future__ import annotations

from typing import Any

from common.push import Message
from registry.access import get_model


class ModelSource:
    """One model's page. What each viewer may do there differs, so that the page asks for the section itself."""

    def __init__(self, pk: int) -> None:
        self.channel = f"model.{pk}"
        self.topics = (self.channel,)
        self.times = 0

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> ModelSource:
        return cls(get_model(user, key).pk)

    def snapshot(self) -> list[Message]:
        return [Message("items", "")]  # what changed while nobody listened

    def update(self) -> list[Message]:
        self.times += 1
        return [Message("items", str(self.times))]
