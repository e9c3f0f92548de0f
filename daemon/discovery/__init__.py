"""Releases that nobody has described: which destinations of a route are the arms of one, and when a change of it opens or ends one.

Pure, and told nothing of meshes and controllers: each makes its part, ``pictured`` in a mesh's row and ``owning`` in an owner's.
"""

from daemon.discovery.openings import outcomes
from daemon.discovery.siblings import outcome

__all__ = ["outcome", "outcomes"]
