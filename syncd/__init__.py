"""syncd: one supervised daemon that keeps an inventory of clouds and databases true."""

__version__ = "0.1.0"
