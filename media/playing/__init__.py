"""Prompts, and the numbers made of them."""
