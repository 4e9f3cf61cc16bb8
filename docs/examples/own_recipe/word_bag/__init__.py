"""A recipe of its own package: names the class of a text by its words. Imported by the web process: no torch here."""

from engine.recipe import Recipe

RECIPE = Recipe(
    name="word-bag",
    title="Word bag",
    summary="Names the class of a text by the words in it, whatever their order.",
    modality="text",
    config="word_bag.config.WordBagConfig",
    trainer="word_bag.trainer.build",
    predictor="word_bag.predictor.WordBagPredictor",
    output="labels",
    labelled=True,
    goal="validation/accuracy",
    higher_is_better=True,
)
