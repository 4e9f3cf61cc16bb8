"""What came out of training, and how it is used."""

from registry.models.aliases import Alias, AliasChange
from registry.models.cards import CardNotes
from registry.models.exports import Export
from registry.models.lines import Merge, Model, ModelVersion
from registry.models.logged import LogPolicy, Touched
from registry.models.predictions import Outcome, Prediction
from registry.models.promotion import Approval, PromotionEvidence, PromotionPolicy, PromotionRequest
from registry.models.routes import Route, RouteArm
from registry.models.serving import Deployment, Served

__all__ = [
    "Alias",
    "AliasChange",
    "Approval",
    "CardNotes",
    "Deployment",
    "Export",
    "LogPolicy",
    "Merge",
    "Model",
    "ModelVersion",
    "Outcome",
    "Prediction",
    "PromotionEvidence",
    "PromotionPolicy",
    "PromotionRequest",
    "Route",
    "RouteArm",
    "Served",
    "Touched",
]
