"""Every metric of the engine, and of the hops of an IMS core what they have in common with it.

Two kinds. What has a duration is observed when it happens, through the verbs of `Metrics`. Everything else is
read at scrape time from `Readings`, plain numbers that the parts keep anyway, so that a message or a packet costs
no more than adding to an int. Labels take values from closed sets: never a number that somebody dialled.
"""

from acd.metrics.observed import ABANDONED, ANSWERED, Metrics
from acd.metrics.readings import Readings

__all__ = ["ABANDONED", "ANSWERED", "Metrics", "Readings"]
