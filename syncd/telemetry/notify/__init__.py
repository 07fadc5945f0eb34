"""Notification channels: what each is sent, signed as its documentation says."""
