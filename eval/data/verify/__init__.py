"""Checks of benchmark copies: every problem is listed with what to do, and a sound part of a benchmark is called one."""
