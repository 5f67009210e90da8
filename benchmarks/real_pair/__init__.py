"""A pair of real models, from the directory of a chatting target to a page about what its device and cloud do."""
