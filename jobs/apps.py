from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from common.references import register_keeper
        from jobs.graph import PART
        from jobs.search.running import needed
        from jobs.using import uses
        from registry.graph.walk import register_part
        from registry.removal import register_use

        register_keeper(needed)
        register_part(PART)
        register_use(uses)
