from engine.recipe import Recipe

RECIPE = Recipe(
    name="audio-classification",
    title="Sound classification",
    summary="Trains a small network on the spectra of your recordings; the result names a recording's class.",
    modality="audio",
    config="engine.recipes.audio_classification.config.AudioClassificationConfig",
    trainer="engine.recipes.audio_classification.trainer.build",
    predictor="engine.recipes.audio_classification.predictor.AudioClassificationPredictor",
    libraries=("av",),
    output="labels",
    labelled=True,
    goal="validation/accuracy",
    higher_is_better=True,
    exporter="engine.recipes.audio_classification.export.network",
    onnx="Waves at the model's rate become probabilities of the classes; spectra are part of the network.",
)
