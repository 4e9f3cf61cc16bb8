"""The tables of this room, by subject; import them from here."""

from datasets.models.data import (
    Dataset,
    DatasetVersion,
    Edit,
    EditedItem,
    Governance,
    Import,
    Item,
    LabelCount,
    Modality,
    Refusal,
    Review,
    Upload,
)
from datasets.models.gates import GovernanceDecision, GovernanceRule, Reviewer, ReviewVote
from datasets.models.quality import Finding, Fingerprint, QualityRun
from datasets.models.sheets import RenderError, Rendering, Template
from datasets.models.subjects import EligibilityPolicy, Subject

__all__ = [
    "Dataset", "DatasetVersion", "Edit", "EditedItem", "EligibilityPolicy", "Finding", "Fingerprint", "Governance",
    "GovernanceDecision", "GovernanceRule", "Import", "Item", "LabelCount", "Modality", "QualityRun", "Refusal",
    "RenderError", "Rendering", "Review", "ReviewVote", "Reviewer", "Subject", "Template", "Upload",
]  # fmt: skip
