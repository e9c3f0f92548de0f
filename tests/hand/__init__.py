"""What tests have in hand instead of the world: a clock, our own ports, servers that misbehave, samples. One of each."""
