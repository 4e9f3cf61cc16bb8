"""Words for codes that items carry: why one was set aside, and what was changed."""

from __future__ import annotations

ASIDE_WORDS = {
    "by_hand": "By hand", "duplicate": "Duplicate", "near_duplicate": "Nearly a duplicate",
    "leak": "Also in a test set",
}  # fmt: skip
FIELD_WORDS = {
    "label": "Class", "caption": "Caption", "group": "Group", "subject": "Subject", "aside": "Set aside",
    "metadata": "Metadata", "content": "Content",
}  # fmt: skip


def aside(code: str) -> str:
    """Why an item was set aside, in words."""
    return ASIDE_WORDS.get(code) or code.replace("_", " ").capitalize()
