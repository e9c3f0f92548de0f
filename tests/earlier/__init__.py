"""What version 0.1 kept (a recording, a record, a session under way), as files, and that it is read."""
