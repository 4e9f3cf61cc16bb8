"""The registry of checks: what each finds, what it means, what it takes from 100, and what can be done."""

from __future__ import annotations

from dataclasses import dataclass

ALL = ("image", "text", "audio", "video", "table")
FILES = ("image", "audio", "video")


@dataclass(frozen=True)
class Check:
    """One kind of finding. `clustered`: the items concerned lie in groups that are alike; `whole`: it is said of the
    dataset and not of an item; `of_rows`: it is said of single rows of a table."""

    code: str
    title: str
    means: str
    points: int  # that it takes from 100, at most
    remedy: str
    kinds: tuple[str, ...] = ALL
    clustered: bool = False
    whole: bool = False
    of_rows: bool = False


CHECKS: dict[str, Check] = {
    check.code: check
    for check in (
        Check(
            "unreadable", "Unreadable", "The file is missing, damaged, or can't be decoded to its end.", 100,
            "Import it again, or set it aside.", ALL,
        ),
        Check(
            "duplicate", "Duplicate", "The same content as another item: the same pixels or sound in another file, "
            "the same text but for case and spaces.", 40, "Set aside all but one of each group.",
            ("image", "text", "audio", "video"), clustered=True,
        ),
        Check(
            "near_duplicate", "Near duplicate", "Almost the same as another item: a text with a few words changed, a "
            "picture that was scaled, compressed or brightened, a louder copy of a recording.", 20,
            "Set aside all but one of each group, or dismiss it where the difference matters.",
            ("image", "text", "audio", "video"), clustered=True,
        ),
        Check(
            "leak", "Leak", "It is trained on although a duplicate or near duplicate of it is kept for validation or "
            "testing, so the figures would look better than they are.", 30, "Set the leaking items aside.",
            ("image", "text", "audio", "video"), clustered=True,
        ),
        Check(
            "conflict", "Contradicting labels", "The same content has another label elsewhere in the dataset.", 40,
            "Look at the group and correct the labels.", ("image", "text", "audio", "video"), clustered=True,
        ),
        Check(
            "mislabelled", "Probably mislabelled", "A model that learned from the other items is confident of another "
            "label.", 30, "Look at it: correct the label, or dismiss the finding.", ("image", "text", "audio", "video"),
        ),
        Check(
            "low_resolution", "Small picture", "Far fewer pixels than the other pictures of the dataset, or fewer than "
            "8 × 8.", 15, "Replace it with a larger one, or set it aside.", ("image",),
        ),
        Check(
            "blurred", "Blurred", "Its edges are much softer than those of the other pictures.", 15,
            "Set it aside unless it is meant to be soft.", ("image",),
        ),
        Check("too_dark", "Too dark", "Nearly all of it is black.", 15, "Set it aside, or correct it.", ("image",)),
        Check("too_bright", "Too bright", "Nearly all of it is white where the other pictures are not.", 15,
              "Set it aside, or correct it.", ("image",)),
        Check("blank", "Blank", "It shows one even colour.", 60, "Set it aside.", ("image",)),
        Check(
            "clipped", "Clipped", "Many samples stand at the loudest value there is: it was recorded too loud.", 20,
            "Record it again, or set it aside.", ("audio",),
        ),
        Check("silent", "Silent", "Nothing, or next to nothing, can be heard.", 60, "Set it aside.", ("audio",)),
        Check(
            "other_rate", "Other sample rate", "Its sample rate differs from that of nearly all other recordings.", 5,
            "Training resamples it; look whether it sounds the same.", ("audio",),
        ),
        Check("black_frames", "Black frames", "A fifth or more of its frames are black.", 20,
              "Cut them off, or set it aside.", ("video",)),
        Check("still", "Stands still", "Its frames do not change.", 15, "Set it aside if motion matters.", ("video",)),
        Check(
            "unusual_length", "Unusual length", "Much longer or shorter than the other items.", 5,
            "Look at it: it may be cut off, or several in one.", ("text", "audio", "video"),
        ),
        Check(
            "other_language", "Other language", "In another language than nearly all other texts.", 15,
            "Set it aside, or label it.", ("text",),
        ),
        Check(
            "mojibake", "Garbled letters", "Letters such as 'Ã©' that come from reading UTF-8 as another encoding.", 20,
            "Import it again with the right encoding.", ("text", "table"),
        ),
        Check(
            "odd_characters", "Odd characters", "Replacement or control characters: something was lost on the way.", 10,
            "Import it again with the right encoding.", ("text",),
        ),
        Check("repetitive", "Repeats itself", "Much of it is the same words over and over.", 15, "Set it aside.",
              ("text",)),
        Check(
            "no_answer", "No real answer", "The completion holds no letter, number or emoji, or a placeholder such "
            "as 'N/A' or 'TODO'.", 40, "Write an answer, or set it aside.", ("text",),
        ),
        Check(
            "repeated_answer", "Repeated answer", "The same long completion answers many different prompts.", 10,
            "Look whether it is a stock phrase that should not be learned.", ("text",),
        ),
        Check(
            "conflicting_answer", "Several answers", "The same prompt has another completion elsewhere.", 10,
            "Keep one, if there is one right answer.", ("text",), clustered=True,
        ),
        Check(
            "personal_data", "Personal data", "It holds what names a person: e-mail and IP addresses, telephone, card, "
            "bank account or social security numbers.", 25, "Remove it, or set the item aside.", ("text", "table"),
            of_rows=True,
        ),
        Check(
            "missing_values", "Missing values", "Cells without a value; it takes more the more there are.", 20,
            "Fill them, or leave the column out.", ("table",),
        ),
        Check("constant_column", "Constant column", "A column that says the same in every row teaches nothing.", 3,
              "Leave it out.", ("table",)),
        Check("duplicate_row", "Duplicate row", "The same values as an earlier row.", 40, "Remove the row.", ("table",),
              of_rows=True),
        Check("time_gap", "Gap in time", "The time stamps leap ahead here: rows are missing.", 20,
              "Find what is missing, or split the series here.", ("table",), of_rows=True),
        Check("time_disorder", "Disorder in time", "The time stamp lies before that of the row above.", 20,
              "Sort the table by time.", ("table",), of_rows=True),
        Check("time_repeated", "Repeated time", "The same time stamp as the row above.", 10,
              "Keep one of the rows, or name the series in a column.", ("table",), of_rows=True),
        Check("outlier", "Outlier", "A number far outside of what the column holds otherwise.", 10,
              "Look whether it is a fault of measuring.", ("table",), of_rows=True),
        Check("value_jump", "Jump", "A number leaps far more from one row to the next than it does otherwise.", 10,
              "Look whether it is a fault of measuring.", ("table",), of_rows=True),
        Check(
            "class_imbalance", "Uneven classes", "The largest class has over ten times as many items as the smallest "
            "of five items or more.", 10, "Add items to the small classes.", ("image", "text", "audio", "video"),
            whole=True,
        ),
        Check(
            "small_class", "Small classes", "Classes of fewer than five items can hardly be learned or measured.", 5,
            "Add items, or join classes.", ("image", "text", "audio", "video"), whole=True,
        ),
        Check(
            "unlabelled", "Items without a label", "Some items have a label (over one in twenty) and some have none.",
            5, "Label them; training by class leaves them out.", ("image", "text", "audio", "video"), whole=True,
        ),
    )
}  # fmt: skip


def suiting(modality: str) -> list[Check]:
    """The checks that a dataset of this kind gets."""
    return [check for check in CHECKS.values() if modality in check.kinds]


def table() -> str:
    """All checks as a Markdown table, for the users' guide."""
    lines = ["| code | finds | of | points | what can be done |", "|---|---|---|---|---|"]
    for check in CHECKS.values():
        lines.append(
            f"| `{check.code}` | {check.title}. {check.means} | {', '.join(check.kinds)} | {check.points} "
            f"| {check.remedy} |"
        )
    return "\n".join(lines) + "\n"
