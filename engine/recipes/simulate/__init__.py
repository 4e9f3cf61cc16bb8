from engine.recipe import Recipe

RECIPE = Recipe(
    name="simulate",
    title="Simulator",
    summary="Trains nothing: acts like a job of a chosen length, to try queue, pages and failures.",
    modality=None,
    config="engine.recipes.simulate.config.SimulateConfig",
    trainer="engine.recipes.simulate.trainer.build",
    predictor=None,
    output=None,
    simulator=True,
    onnx="It trains nothing.",
)
