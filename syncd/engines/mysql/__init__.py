"""MySQL 5.7 and later and MariaDB 10.5 and later: their accounts and sizes, read, never written."""
