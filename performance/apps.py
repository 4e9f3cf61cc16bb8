from django.apps import AppConfig


class PerformanceConfig(AppConfig):
    name = "performance"

    def ready(self) -> None:
        from performance.graph import PART
        from registry.graph.walk import register_part

        register_part(PART)
