"""Simulated devices that speak the real protocols: what `daq simulate` serves, and what tests read from.

They share no code with the collectors' protocols, so that one cannot hide the other's mistake.
"""
