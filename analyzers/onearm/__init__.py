"""The judge of one arm alone, after its promotion: its shares against limits that stand from the first tick on.

There is no baseline in the same seconds, so that nothing here compares: the baseline as it was gives the limits (``limits``), a bet
on each of them says how surely it is passed (``betting``), and what that makes of the release is said at its end (``judging``).
"""
