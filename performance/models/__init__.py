"""How models do in the world."""

from performance.models.alerts import Alert, AlertEvent, AlertRule, Severity
from performance.models.drift import DriftCheck, DriftMonitor, DriftStream
from performance.models.experiments import ArmSum, Experiment, Look
from performance.models.figures import MetricRecord
from performance.models.notices import Channel, Delivery, DeliveryTry
from performance.models.retraining import CollectedPrediction, Retraining, RetrainingEvent, RetrainingPolicy

__all__ = [
    "Alert",
    "AlertEvent",
    "AlertRule",
    "ArmSum",
    "Channel",
    "CollectedPrediction",
    "Delivery",
    "DeliveryTry",
    "DriftCheck",
    "DriftMonitor",
    "DriftStream",
    "Experiment",
    "Look",
    "MetricRecord",
    "Retraining",
    "RetrainingEvent",
    "RetrainingPolicy",
    "Severity",
]
