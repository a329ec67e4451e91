"""Passes, what wakes them, what is remembered between them, and the socket by which commands ask for them."""
