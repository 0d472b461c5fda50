"""migprep: will this Linux machine come up on the hardware it is about to move to?"""

__version__ = "0.1.0"
