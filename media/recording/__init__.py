"""Recordings: two channels on one timeline, written by a process of their own."""
