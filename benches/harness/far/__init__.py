"""A server far away: two networks of this machine, joined by a cable that takes its time."""
