"""The reconciler makes a plant what its manifests say, and says what is true.

Level, not edge: every pass reads all manifests and the whole process table; events only say "look now". Deciding is
pure (``plan``, ``restarts``, ``status``, ``diff``, over the values of ``model``); doing is in one place for each
thing (``desired`` reads manifests, ``processes`` starts and stops, ``publish`` and ``server`` tell, ``loop`` calls
them in order, ``cli`` is the people's side). Nothing the reconciler remembers is needed to find what runs: the process
table itself says it, so the reconciler may die at any moment and another takes over without a signal.

**One manifest's walk**: file saved, ``loop.run`` wakes, ``loop.reconcile`` makes a pass: ``desired`` reads YAML into a
``Manifest`` with its digest, ``processes.observe`` finds what lives, ``plan`` decides, ``processes`` starts or asks to
stop, the next pass sees it, ``status`` puts it in words, ``publish`` into files and the endpoint.
"""

__version__ = "0.1.0"
