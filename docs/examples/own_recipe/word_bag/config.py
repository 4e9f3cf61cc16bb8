"""Settings: what the form shows, what the API takes, and what is written down with each run. No torch here."""

from __future__ import annotations

from engine.config import Facts, RecipeConfig, setting


class WordBagConfig(RecipeConfig):
    """Logistic regression on hashed words: trains in seconds, and is hard to beat on a few hundred short texts."""

    epochs: int = setting(20, "Epochs", "How often each text is seen.", ge=1, le=1000)
    batch_size: int = setting(16, "Batch size", "Texts per step.", ge=1, le=4096)
    learning_rate: float = setting(0.02, "Learning rate", "Highest size of an update.", gt=0, le=1)
    words: int = setting(2**12, "Words", "Places of the bag; words may share one.", "Model", ge=16, le=2**20)
    label_smoothing: float = setting(0.0, "Label smoothing", "Keeps it from being too sure.", "Advanced", ge=0, lt=0.5)
    warmup_ratio: float = setting(0.0, "Warm-up", "Share of the run in which the rate rises.", "Advanced", ge=0, le=0.5)
    minimum_learning_rate_ratio: float = setting(
        0.1, "Final rate", "The share of the rate at the end.", "Advanced", ge=0, le=1
    )
    weight_decay: float = setting(0.01, "Weight decay", "Pulls weights to zero.", "Advanced", ge=0, le=10)
    gradient_clip: float = setting(1.0, "Gradient clip", "Longer gradients are cut.", "Advanced", ge=0, le=1000)

    @classmethod
    def recommend(cls, facts: Facts) -> dict[str, tuple[int, str]]:
        """What the form recommends for the data at hand."""
        many = facts.get("items", 0) > 20_000
        return {"words": (2**16, "many texts hold many different words")} if many else {}
