from __future__ import annotations

from django.contrib import admin

from gallery_app.models import Attachment, Picture

admin.site.register([Attachment, Picture])
