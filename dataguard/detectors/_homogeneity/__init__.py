"""How homogeneity (DG304) samples, measures and compares groups of records."""
