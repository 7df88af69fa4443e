"""The scan: plan, passes, judge, tables, once for all rules. `scanner.scan` is the way in."""
