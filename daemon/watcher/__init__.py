"""Releases that nobody announces: routes are watched, and where one begins to send to another version a release is announced.

What a change means is for ``daemon.discovery`` to say; here is what brings the changes to it, what was before over restarts, and
what becomes of its answers.
"""
