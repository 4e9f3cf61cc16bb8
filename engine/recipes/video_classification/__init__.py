from engine.recipe import Recipe

RECIPE = Recipe(
    name="video-classification",
    title="Video classification",
    summary="Trains a small network on frames of your videos and how they change; the result names a video's class.",
    modality="video",
    config="engine.recipes.video_classification.config.VideoClassificationConfig",
    trainer="engine.recipes.video_classification.trainer.build",
    predictor="engine.recipes.video_classification.predictor.VideoClassificationPredictor",
    libraries=("av",),
    output="labels",
    labelled=True,
    goal="validation/accuracy",
    higher_is_better=True,
    exporter="engine.recipes.video_classification.export.network",
    onnx="Frames as raw pixels become probabilities of the classes.",
)
