"""How vectors are looked at: read as whole numbers, sketched, learned from a sample, and told.

All products are of whole numbers (`dataguard.kernels.units`), so that what is found depends on no order of sums.
"""
