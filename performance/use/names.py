"""The names of figures from logged predictions, as they stand in `MetricRecord.name`."""

from __future__ import annotations

REQUESTS = "use/requests"
ERRORS = "use/errors"  # the share of requests that failed
P50, P95 = "use/latency_p50", "use/latency_p95"  # milliseconds of those that did not
ACCURACY = "use/accuracy"  # also estimated, from how sure the model was
MAE = "use/mae"
BIAS = "use/bias"  # predicted less true, on average
FEEDBACK = "use/feedback"

ALL = (ACCURACY, MAE, BIAS, FEEDBACK, REQUESTS, ERRORS, P50, P95)
TITLES = {
    ACCURACY: "Accuracy", MAE: "Mean absolute error", BIAS: "Predicted less true, on average",
    FEEDBACK: "Mean feedback", REQUESTS: "Predictions", ERRORS: "Share that failed",
    P50: "Time to answer, median", P95: "Time to answer, 95th percentile",
}  # fmt: skip
UNITS = {P50: "ms", P95: "ms"}
SHARES = {ACCURACY, ERRORS}
