"""`dataart-mp spool`: inspects a spool, and resends its dead letters.

command    `ls`, `show`, `replay` and `purge`
listing    what `ls` prints
replay     sends dead letters again
"""
