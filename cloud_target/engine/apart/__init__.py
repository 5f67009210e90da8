"""An engine in a process of its own: Python's lock is then nobody's but the forward pass's.

A pass gives that lock away at each of its operations, which are thousands, and gets it back when the event loop pauses
or its turn is over. In one process a service that is busy with its calls so makes each pass take many times as long.
"""
