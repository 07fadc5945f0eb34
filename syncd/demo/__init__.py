"""The demonstration: an emulator of both clouds and a configuration that uses it."""
