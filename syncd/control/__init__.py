"""HTTP over the control socket, and the read-only listener for metrics and health."""
