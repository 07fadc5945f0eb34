"""Crontabs read as what syncd could run: lines that call an endpoint become jobs of kind http.

A line is either understood as a whole or left alone, with the reason: half of what a line does is
worse than none of it. No secret of a crontab is ever printed.
"""
