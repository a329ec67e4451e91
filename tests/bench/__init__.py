"""What things cost, each beside a baseline that does the same work in the same minute.

``python -m tests.bench [NAME…]`` runs each file of this folder that has a ``run``. Times depend on the
machine; the ratio is what to watch.
"""
