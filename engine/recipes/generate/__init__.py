from engine.recipe import Recipe

RECIPE = Recipe(
    name="generate",
    title="Example generation",
    summary="Has several models write examples by genre, a judge score them, and keeps the best of each.",
    modality=None,
    config="engine.recipes.generate.config.GenerateConfig",
    trainer="engine.recipes.generate.trainer.build",
    predictor=None,
    output=None,
    makes="examples",
    processes=False,
    goal="generate/quality",
    higher_is_better=True,
    onnx="It makes examples, and no model.",
)
