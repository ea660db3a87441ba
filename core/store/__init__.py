"""What is kept: the ledger in Git, the index and the record of runs in SQLite, the logs in files."""
