"""Durable state behind one small interface: `interface.Store`, today kept by SQLite (`sqlite_store.SqliteStore`).

What is stored and under which guarantees lives here; who asks, and who is waiting for what, is the DataLayer's.
"""
