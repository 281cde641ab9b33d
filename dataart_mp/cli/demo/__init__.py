"""`dataart-mp demo`: ships flights to a sink that fails midway, and audits what arrives.

command     the options, and the choice of flights
trial       the run: client, sink and injected faults
manifest  what was shipped
audit     manifest, client and sink compared
report      the audit as text and JSON
"""
