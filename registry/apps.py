from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "registry"

    def ready(self) -> None:
        from common.references import register_keeper
        from registry import checks  # noqa: F401
        from registry.artifacts import needed

        register_keeper(needed)
