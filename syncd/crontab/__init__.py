"""Crontab files, and the jobs that they become."""
