"""Compiled loops over Arrow's offsets and bytes: no policy in here, no Python object per record.

Nobody loads a module of this room before it is needed: Numba alone takes a second.
"""
