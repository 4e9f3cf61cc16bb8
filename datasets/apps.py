from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "datasets"

    def ready(self) -> None:
        from common.references import register_keeper
        from datasets.creation import named_files

        register_keeper(named_files)
