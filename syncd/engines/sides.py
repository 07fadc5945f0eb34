"""What an engine offers those who compare its tables with others'; all of it only reads."""
