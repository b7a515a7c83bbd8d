"""A distant server: two networks of this machine, joined by a link with a delay."""
