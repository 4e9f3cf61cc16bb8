from engine.recipe import Recipe

RECIPE = Recipe(
    name="table-baseline",
    title="Table: expected value from drivers",
    summary="Learns a column of a table from the others: boosted trees beside a linear model; a number or a class.",
    modality="table",
    config="engine.recipes.table_baseline.config.TableBaselineConfig",
    trainer="engine.recipes.table_baseline.trainer.build",
    predictor="engine.recipes.table_baseline.predictor.TableBaselinePredictor",
    libraries=("lightgbm", "scikit-learn", "scipy", "pyarrow"),
    output="values",
    processes=False,
    tells=("accuracy", "macro_f1", "auc", "average_precision", "mae", "rmse", "r2"),
    exporter="engine.recipes.table_baseline.export.network",
    onnx="Numbers and codes of categories become values or probabilities, by the trees or the linear model.",
)
