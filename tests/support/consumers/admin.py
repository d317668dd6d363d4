from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html
from import_export import resources
from import_export.admin import ImportExportModelAdmin

from consumers.models import Avatar, Photo


class PhotoResource(resources.ModelResource):
    class Meta:
        model = Photo
        fields = ("id", "title", "image")


admin.site.register(Avatar)


@admin.register(Photo)
class PhotoAdmin(ImportExportModelAdmin):
    resource_classes = (PhotoResource,)
    list_display = ("title", "image", "shown")

    def shown(self, photo):
        return format_html('<img src="{}">', photo.image.url)
