"""How near copies are found: keys of signatures, pairs that share one, exact comparison, groups.

Records are named by one number, their place: the number of the file in the upper 24 bits, the row in the lower 40.
Texts are named by a keyed hash of their words; equal texts are one until they are told with their places again.
"""
