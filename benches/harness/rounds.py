"""Interleaved measurements: a temporary disturbance of the machine affects all cases equally."""

import statistics


def interleave(count, cases):
    """Runs each case that often, in turn, and starts each round with another case.

    `cases` are functions by name that return figures by name. Returns for each case the lists of its figures.
    """
    names = list(cases)
    measured = {name: {} for name in names}
    for turn in range(count):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            for figure, value in cases[name]().items():
                measured[name].setdefault(figure, []).append(value)
    return measured


def median(values):
    return statistics.median(values)


def spread(values):
    """The tenth and the ninetieth percentile."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return ordered[round(0.1 * last)], ordered[round(0.9 * last)]


def ratio(values, others):
    """The median of the ratios of each round."""
    return median([value / other for value, other in zip(values, others)])
