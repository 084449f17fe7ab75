"""Run by Alembic for each upgrade: takes the connection of `procession.store.migrating`, which holds the transaction."""

from alembic import context

from procession.store import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    version_table=schema.REVISION_TABLE,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
