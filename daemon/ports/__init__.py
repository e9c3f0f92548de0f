"""The few narrow interfaces between the engine and the world. An adapter implements one; the engine knows nothing else.

Everything here may raise the errors of ``daemon.errors`` and no others. All times are in seconds. A clock is one as well, and
stands with the other helpers that wait (``daemon.aio.clock``).
"""
