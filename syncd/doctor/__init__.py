"""Every check there is: what is measured, how it is judged, and what to do about it."""
