from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from common.references import register_keeper
        from jobs.search.running import needed

        register_keeper(needed)
