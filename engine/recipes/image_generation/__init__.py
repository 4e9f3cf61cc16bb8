from engine.recipe import Recipe

RECIPE = Recipe(
    name="image-generation",
    title="Image generation",
    summary="Teaches a latent-diffusion model that you have a subject or a style, from a few captioned pictures.",
    modality="image",
    config="engine.recipes.image_generation.config.ImageGenerationConfig",
    trainer="engine.recipes.image_generation.trainer.build",
    predictor="engine.recipes.image_generation.predictor.ImageGenerationPredictor",
    libraries=("diffusers", "transformers", "peft", "pillow", "pillow-heif"),
    output="image",
    bases=True,
    base_holds="pipeline",
    tells=("loss",),
    onnx="A picture takes several networks and a loop of many steps.",
)
