"""A verdict explained: from its decision record, from its recording judged again, or from both checked against each other."""

from daemon.offline.explain.account import Account, account
from daemon.offline.explain.trace import Trace, read_record, trace

__all__ = ["Account", "Trace", "account", "read_record", "trace"]
