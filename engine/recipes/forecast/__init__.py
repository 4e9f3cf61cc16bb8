from engine.recipe import Recipe

RECIPE = Recipe(
    name="forecast",
    title="Forecast",
    summary="Continues series of numbers in time, with intervals; the best of classical and learned methods.",
    modality="table",
    config="engine.recipes.forecast.config.ForecastConfig",
    trainer="engine.recipes.forecast.trainer.build",
    predictor="engine.recipes.forecast.predictor.ForecastPredictor",
    libraries=("statsmodels", "scipy", "pyarrow"),
    output="forecast",
    processes=False,
    own_parts=True,
    goal="validation/mae",
    tells=("mae", "mase", "smape", "coverage_95"),
    exporter="engine.recipes.forecast.export.network",
    onnx="The latest values of a series become its forecast with intervals. Not where exponential smoothing or ARIMA "
    "was chosen: these are fitted anew each time.",
)
