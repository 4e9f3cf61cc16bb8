from django.urls import path

from jobs import api, hub_api

urlpatterns = [
    path("training/jobs", api.JobsView.as_view(), name="api-jobs"),
    path("training/jobs/<int:job_id>", api.JobView.as_view(), name="api-job"),
    path("training/jobs/<int:job_id>/poll", api.PollView.as_view(), name="api-job-poll"),
    path("training/jobs/<int:job_id>/cancel", api.CancelView.as_view(), name="api-job-cancel"),
    path("training/jobs/<int:job_id>/pause", api.PauseView.as_view(), name="api-job-pause"),
    path("training/jobs/<int:job_id>/resume", api.ResumeView.as_view(), name="api-job-resume"),
    path("training/jobs/<int:job_id>/retry", api.RetryView.as_view(), name="api-job-retry"),
    path("training/jobs/<int:job_id>/metrics", api.MetricsView.as_view(), name="api-job-metrics"),
    path("training/jobs/<int:job_id>/events", api.EventsView.as_view(), name="api-job-events"),
    path("training/jobs/<int:job_id>/lineage", api.LineageView.as_view(), name="api-job-lineage"),
    path("training/jobs/<int:job_id>/logs", api.LogsView.as_view(), name="api-job-logs"),
    path("training/jobs/<int:job_id>/checkpoints", api.CheckpointsView.as_view(), name="api-job-checkpoints"),
    path("training/active", api.ActiveView.as_view(), name="api-active"),
    path("training/status", api.StatusView.as_view(), name="api-status"),
    path("training/stats", hub_api.StatsView.as_view(), name="api-stats"),
    path("training/nodes", hub_api.NodesView.as_view(), name="api-nodes"),
    path("training/recipes", hub_api.RecipesView.as_view(), name="api-recipes"),
]
