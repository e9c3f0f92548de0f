"""What a watch of a service would find, before there is one: simulated releases judged by the real judge.

Nothing here knows a formula for power: a regression is simulated a few hundred times, and the table is counted.
"""
