"""Storages of other people: how they are built, and what is asked of them."""

from __future__ import annotations

import pytest

# What deviates is told as a test tells it.
pytest.register_assert_rewrite("real.contract")
