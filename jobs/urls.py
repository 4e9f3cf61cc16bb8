from django.urls import path

from jobs import job_views, new_views, node_views, queue_views, schedule_views, views

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("monitor", views.monitor, name="monitor"),
    path("queue", queue_views.queue, name="queue"),
    path("nodes", node_views.machines, name="nodes"),
    path("nodes/<str:name>", node_views.machine, name="node"),
    path("nodes/<str:name>/<slug:verb>", node_views.action, name="node-action"),
    path("jobs", views.jobs, name="jobs"),
    path("jobs/batch", queue_views.batch, name="jobs-batch"),
    path("jobs/new", new_views.new, name="job-new"),
    path("jobs/new/split", new_views.split, name="job-new-split"),
    path("jobs/<int:pk>", job_views.job, name="job"),
    path("jobs/<int:pk>/log", job_views.log, name="job-log"),
    path("jobs/<int:pk>/log.txt", job_views.log_file, name="job-log-file"),
    path("jobs/<int:pk>/change", job_views.change, name="job-change"),
    path("jobs/<int:pk>/<slug:name>", job_views.action, name="job-action"),
    path("schedules", schedule_views.all_schedules, name="schedules"),
    path("schedules/new", schedule_views.new, name="schedule-new"),
    path("schedules/preview", schedule_views.preview, name="schedule-preview"),
    path("schedules/<int:pk>", schedule_views.schedule, name="schedule"),
    path("schedules/<int:pk>/edit", schedule_views.edit, name="schedule-edit"),
    path("schedules/<int:pk>/<slug:verb>", schedule_views.action, name="schedule-action"),
    path("templates", schedule_views.templates, name="templates"),
    path("templates/new", schedule_views.new_template, name="template-new"),
    path("templates/<int:pk>/<slug:verb>", schedule_views.template_action, name="template-action"),
]
