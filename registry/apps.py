from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "registry"

    def ready(self) -> None:
        from common.references import register_keeper
        from registry import (
            checks,  # noqa: F401
            exporting,
        )
        from registry.artifacts import needed
        from registry.graph.parts import DATA, VERSIONS
        from registry.graph.walk import register_part

        register_keeper(needed)
        register_keeper(exporting.needed)
        register_part(DATA)
        register_part(VERSIONS)
