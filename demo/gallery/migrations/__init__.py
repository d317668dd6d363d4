"""The gallery's migrations."""
