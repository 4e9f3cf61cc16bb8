from engine.recipe import Recipe

RECIPE = Recipe(
    name="image-classification",
    title="Image classification",
    summary="Trains a network sized by your images, or adapts a pretrained one; the result names an image's class.",
    modality="image",
    config="engine.recipes.image_classification.config.ImageClassificationConfig",
    trainer="engine.recipes.image_classification.trainer.build",
    predictor="engine.recipes.image_classification.predictor.ImageClassificationPredictor",
    libraries=("pillow", "pillow-heif", "transformers"),
    output="labels",
    labelled=True,
    bases=True,
    base_holds="pictures",
    goal="validation/accuracy",
    higher_is_better=True,
    exporter="engine.recipes.image_classification.export.network",
    onnx="Pictures as raw pixels become probabilities of the classes.",
)
