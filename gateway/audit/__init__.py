"""The record: entries (entry), their keyed hash chain (chain), the spool on disk, the log in the store, the query grammar."""
