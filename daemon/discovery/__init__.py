"""Releases that nobody has described: which destinations of a route are the arms of one, and when a change of it opens or ends one.

Pure, and told nothing of meshes and controllers: each makes its part (``picturing`` in a mesh's folder, ``flaggerarms`` and
``rolloutarms`` among the owners).
"""
