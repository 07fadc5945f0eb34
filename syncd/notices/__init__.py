"""Notifications: what is told, to whom, and when again; and the queue that they wait in."""
