"""What needs no daemon: verdicts explained, recordings judged again, watches foretold, all by the judge of the daemon itself."""
