"""What earlier versions kept, as files, that it is read, and the published form of what is kept (``python -m tests.earlier``)."""
