"""When a job is due: pure functions of the moment asked about, without a clock and without I/O."""
