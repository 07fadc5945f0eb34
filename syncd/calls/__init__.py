"""HTTP calls of jobs: what is sent, how it is sent, and what an answer means."""
