from django.urls import path

from jobs import api, control_api, hub_api

urlpatterns = [
    path("training/jobs", api.JobsView.as_view(), name="api-jobs"),
    path("training/jobs/<int:job_id>", api.JobView.as_view(), name="api-job"),
    path("training/jobs/<int:job_id>/poll", api.PollView.as_view(), name="api-job-poll"),
    path("training/jobs/<int:job_id>/cancel", control_api.CancelView.as_view(), name="api-job-cancel"),
    path("training/jobs/<int:job_id>/pause", control_api.PauseView.as_view(), name="api-job-pause"),
    path("training/jobs/<int:job_id>/resume", control_api.ResumeView.as_view(), name="api-job-resume"),
    path("training/jobs/<int:job_id>/retry", control_api.RetryView.as_view(), name="api-job-retry"),
    path("training/jobs/<int:job_id>/checkpoint", control_api.CheckpointView.as_view(), name="api-job-checkpoint"),
    path("training/jobs/<int:job_id>/start-now", control_api.StartNowView.as_view(), name="api-job-start-now"),
    path("training/jobs/<int:job_id>/move", control_api.MoveView.as_view(), name="api-job-move"),
    path("training/jobs/<int:job_id>/attempts", api.AttemptsView.as_view(), name="api-job-attempts"),
    path("training/jobs/<int:job_id>/metrics", api.MetricsView.as_view(), name="api-job-metrics"),
    path("training/jobs/<int:job_id>/events", api.EventsView.as_view(), name="api-job-events"),
    path("training/jobs/<int:job_id>/lineage", api.LineageView.as_view(), name="api-job-lineage"),
    path("training/jobs/<int:job_id>/logs", api.LogsView.as_view(), name="api-job-logs"),
    path("training/jobs/<int:job_id>/checkpoints", api.CheckpointsView.as_view(), name="api-job-checkpoints"),
    path("training/queue", control_api.QueueView.as_view(), name="api-queue"),
    path("training/active", api.ActiveView.as_view(), name="api-active"),
    path("training/status", api.StatusView.as_view(), name="api-status"),
    path("training/stats", hub_api.StatsView.as_view(), name="api-stats"),
    path("training/nodes", hub_api.NodesView.as_view(), name="api-nodes"),
    path("training/nodes/<str:node_name>", hub_api.NodeView.as_view(), name="api-node"),
    path("training/nodes/<str:node_name>/drain", hub_api.DrainView.as_view(), name="api-node-drain"),
    path("training/nodes/<str:node_name>/resume", hub_api.ResumeNodeView.as_view(), name="api-node-resume"),
    path("training/limits", hub_api.LimitsView.as_view(), name="api-limits"),
    path("training/recipes", hub_api.RecipesView.as_view(), name="api-recipes"),
]
