from engine.recipe import Recipe

RECIPE = Recipe(
    name="text-generation",
    title="Text generation",
    summary="Trains a compact GPT from scratch on your texts, or fine-tunes a language model; it continues a prompt.",
    modality="text",
    config="engine.recipes.text_generation.config.TextGenerationConfig",
    trainer="engine.recipes.text_generation.trainer.build",
    predictor="engine.recipes.text_generation.predictor.TextGenerationPredictor",
    libraries=("tokenizers", "transformers", "peft", "bitsandbytes", "pyarrow"),
    output="text",
    bases=True,
    base_holds="writer",
    merger="engine.recipes.text_generation.merging.merge",
    samples_on_the_way=True,
    tells=("loss", "perplexity"),
    onnx="It writes token by token and remembers what it has read, which is a program and not one network.",
)
