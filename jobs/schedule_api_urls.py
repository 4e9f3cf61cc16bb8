from django.urls import path

from jobs import schedule_api as api

TEMPLATE = "training/templates/<int:template_id>"
SCHEDULE = "training/schedules/<int:schedule_id>"

urlpatterns = [
    path("training/templates", api.TemplatesView.as_view(), name="api-templates"),
    path(TEMPLATE, api.TemplateView.as_view(), name="api-template"),
    path(f"{TEMPLATE}/start", api.TemplateStartView.as_view(), name="api-template-start"),
    path("training/schedules", api.SchedulesView.as_view(), name="api-schedules"),
    path("training/schedules/preview", api.SchedulePreviewView.as_view(), name="api-schedules-preview"),
    path(SCHEDULE, api.ScheduleView.as_view(), name="api-schedule"),
    path(f"{SCHEDULE}/pause", api.PauseScheduleView.as_view(), name="api-schedule-pause"),
    path(f"{SCHEDULE}/resume", api.ResumeScheduleView.as_view(), name="api-schedule-resume"),
    path(f"{SCHEDULE}/run", api.RunScheduleView.as_view(), name="api-schedule-run"),
    path(f"{SCHEDULE}/events", api.ScheduleEventsView.as_view(), name="api-schedule-events"),
]
