"""The benchmark suite: rnncore and other libraries on the same work, in the same run.

Nothing here is imported by ``import rnncore``. ``benchmarks/run.py`` runs the whole grid."""
