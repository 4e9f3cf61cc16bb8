from django.apps import AppConfig


class HistoryConfig(AppConfig):
    name = "history"

    def ready(self) -> None:
        from history.recording import record_now
        from jobs.settling import register_recorder

        register_recorder(record_now)
