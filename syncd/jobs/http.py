"""The job kind `http`: calls of endpoints, one after another, each recorded before it is sent."""
