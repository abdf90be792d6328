"""Alembic's steps from one schema to the next; `store.upgrade` runs them when the store is opened."""
