"""Business processes as code."""
