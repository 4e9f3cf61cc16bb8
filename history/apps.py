from django.apps import AppConfig


class HistoryConfig(AppConfig):
    name = "history"

    def ready(self) -> None:
        from history.graph import PART
        from history.recording import record_now
        from jobs.settling import register_recorder
        from registry.graph.walk import register_part

        register_recorder(record_now)
        register_part(PART)
