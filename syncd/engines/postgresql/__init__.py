"""PostgreSQL 12 and later: its accounts with all they may do, and its sizes."""
