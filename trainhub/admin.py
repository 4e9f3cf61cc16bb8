from django.contrib import admin


class HubAdminSite(admin.AdminSite):
    site_header = "TrainHub administration"
    site_title = "TrainHub"
    index_title = "Administration"
