"""The groups of measurements. Each is a module with `measure(service)`, which returns figures for JSON."""

from . import cold, counts, growth, library, many, nagle, network, profile, store, warm

# In the order of the report.
ALL = {
    "cold": cold,
    "warm": warm,
    "counts": counts,
    "profile": profile,
    "many": many,
    "growth": growth,
    "network": network,
    "nagle": nagle,
    "library": library,
    "store": store,
}
