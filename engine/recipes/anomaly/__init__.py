from engine.recipe import Recipe

RECIPE = Recipe(
    name="anomaly",
    title="Anomalies",
    summary="Finds rows that are unlike what came before, at a rate of false alarms that you set; no labels needed.",
    modality="table",
    config="engine.recipes.anomaly.config.AnomalyConfig",
    trainer="engine.recipes.anomaly.trainer.build",
    predictor="engine.recipes.anomaly.predictor.AnomalyPredictor",
    libraries=("scikit-learn", "scipy", "pyarrow"),
    output="anomalies",
    processes=False,
    goal="validation/detected",
    higher_is_better=True,
    tells=("detected", "f1", "precision", "recall", "alarms_per_1000"),
    exporter="engine.recipes.anomaly.export.network",
    onnx="Rows of numbers, in order of time, become a score each.",
)
