"""Fault injection: a real hub is run, broken at random moments, and judged by what its database and disk say."""
