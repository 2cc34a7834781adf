"""The measurement bench: what one pair of hops costs, beside the peers, in one run on one machine.

Belongs here: topology, load, meters, contenders and the report of `make bench`. Nothing of the
product imports this package, and it reaches the product only as a user does: by its command line.
"""
