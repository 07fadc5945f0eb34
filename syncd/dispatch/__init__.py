"""When work runs, and who records it; nothing here names a job kind or a provider."""
