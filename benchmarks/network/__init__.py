"""A network in a box: links with delay, jitter, rate, loss and stalls, on one machine."""
