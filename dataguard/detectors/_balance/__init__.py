"""How groups of records are compared: tables of counts, distributions that merge, and what chance would make of them."""
