"""Multiprocess, high-throughput client (shipper) of the DataArt analytics platform."""

__version__ = "0.1.0"
