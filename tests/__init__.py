"""The tests of all three packages."""
