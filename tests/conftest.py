"""Fixtures for every test. A folder's own fixtures live in its own conftest.py."""
