"""Lossless text grammars: joining what was parsed gives back every byte."""
