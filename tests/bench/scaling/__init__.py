"""How daq's costs grow with the number of collectors: ``python -m tests.bench.scaling`` measures and draws.

One plant for each number, of Modbus collectors on simulated devices; the figures go to ``docs/scaling.csv``, a picture
of them to ``docs/scaling.svg``. With ``draw`` only the picture is made anew.
"""
