"""The Django app: in ``INSTALLED_APPS`` it adds the system checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register

from fallback_storage.conf.checks import check_chains
from fallback_storage.conf.media_checks import check_media


class FallbackStorageConfig(AppConfig):
    """Registers the checks, nothing else."""

    name = "fallback_storage"
    verbose_name = "Fallback storage"

    def ready(self) -> None:
        """Register the checks with Django."""
        register(check_chains, Tags.files)
        register(check_media, Tags.urls)
