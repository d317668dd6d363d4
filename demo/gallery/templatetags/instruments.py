"""Marks that the instruments replace once the page is made."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString, mark_safe

from gallery.instruments import BADGE_MARK, PANEL_MARK
from gallery.models import Photo

register = template.Library()


@register.simple_tag
def badge(photo: Photo) -> SafeString:
    """Where a picture's badge goes."""
    return mark_safe(BADGE_MARK.format(photo.pk))


@register.simple_tag
def panel() -> SafeString:
    """Where the page's figures go."""
    return mark_safe(PANEL_MARK)
