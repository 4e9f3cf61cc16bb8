from engine.recipe import Recipe

RECIPE = Recipe(
    name="text-classification",
    title="Text classification",
    summary="Names the class of texts, by their words and spellings or by a language model that you bring.",
    modality="text",
    config="engine.recipes.text_classification.config.TextClassificationConfig",
    trainer="engine.recipes.text_classification.trainer.build",
    predictor="engine.recipes.text_classification.predictor.TextClassificationPredictor",
    libraries=("tokenizers", "transformers", "peft", "pyarrow"),
    output="labels",
    labelled=True,
    bases=True,
    base_holds="language",
    merger="engine.recipes.text_classification.merging.merge",
    goal="validation/accuracy",
    higher_is_better=True,
    exporter="engine.recipes.text_classification.export.network",
    onnx="Token ids and mask (of a base model), or numbers and weights of features, become probabilities of the "
    "classes; tokenizer or vocabulary lie beside it.",
)
