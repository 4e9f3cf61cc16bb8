"""Why a file or an archive is not taken: a code for programs, a sentence for people."""

from __future__ import annotations

HINTS = {
    "empty": "Send files that have content.",
    "not_an_image": "Send JPEG, PNG, WebP, GIF, BMP, TIFF or HEIC files.",
    "not_audio": "Send WAV, FLAC, MP3, Ogg or M4A files.",
    "not_a_video": "Send MP4, MOV, MKV, WebM or AVI files.",
    "broken_media": "Export the recording again, then add it once more.",
    "cut_off": "It was damaged on its way, or is incomplete: send it again.",
    "too_long": "Cut it into shorter pieces.",
    "too_slow": "Cut it into smaller pieces.",
    "unreadable": "Save it in another format, or split it.",
    "not_text": "Send plain text, or choose the kind of data that fits the file.",
    "not_rows": "Send JSON lines, CSV or TSV, or import it as a document.",
    "unknown_columns": "Name the columns in the options, or rename them in the file.",
    "bad_row": "Correct the row and import the file again: what is there already stays as it is.",
    "missing_files": "Send the files that are listed, too, or correct their names in the list.",
    "not_a_table": "Send CSV, TSV, Parquet, Excel or JSON lines.",
    "too_many_columns": "Split the table into several.",
    "too_many_rows": "Split the file, or import it as a table.",
    "broken_image": "Export the image again, then add it once more.",
    "too_many_pixels": "Scale the image down, then add it once more.",
    "bad_encoding": "Name the encoding in the options, or save the text as UTF-8, then add it once more.",
    "binary": "Send plain text in UTF-8.",
    "too_large": "Send a smaller file, or split it.",
    "unsafe_archive": "Pack the folder again: plain files below one folder, without links.",
    "archive_bomb": "Send the files in several smaller archives, or without packing them.",
    "too_many_files": "Send the files in several imports.",
    "encrypted": "Pack the files again without a password.",
    "nested_archive": "Unpack the inner archive, then add its files.",
    "unknown_archive": "Use zip, tar or tar.gz.",
    "corrupt_archive": "The archive was damaged on its way, or is incomplete: pack and send it again.",
}
DEFAULT_HINT = "See the list of files that were set aside, with the reason for each."


class Refused(Exception):
    """This file (or the whole archive) can't be used. `code` is stable, `reason` is a sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason

    @property
    def hint(self) -> str:
        return HINTS.get(self.code, DEFAULT_HINT)
