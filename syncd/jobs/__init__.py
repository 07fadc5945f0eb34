"""The job kinds, one room each: what a run reads, and how it goes into the store."""
