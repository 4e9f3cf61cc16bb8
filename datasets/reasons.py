"""Words for codes: what a kind of dataset takes, why an item was set aside, and what was changed."""

from __future__ import annotations

KIND_WORDS = {
    "image": "JPEG, PNG, WebP, HEIC, GIF, TIFF and BMP. The folder that a picture lies in is its class.",
    "text": "Documents (TXT, Markdown), or pairs, chats and short texts: the rows of JSONL, CSV or TSV.",
    "audio": "WAV, FLAC, MP3, Ogg and M4A. The folder that a recording lies in is its class.",
    "video": "MP4, MOV, WebM, MKV and AVI. The folder that a video lies in is its class.",
    "table": "CSV, TSV, Parquet and spreadsheets. Columns get their types, and can become training pairs.",
}
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
