"""Runs the steps on the connection, and in the transaction, that `store.upgrade` hands over."""

from alembic import context

from aggregator.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite can undo CREATE and ALTER; Alembic assumes that its driver cannot, which is not how we drive it.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
