"""Recordings: two channels on one timeline, written by a thread."""
