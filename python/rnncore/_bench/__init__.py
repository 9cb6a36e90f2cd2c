"""The benchmark suite: rnncore beside other libraries, on the same work, in the same run.

``grid``      what is timed: sizes and tasks
``timing``    how: pinned, warmed up, in interleaved rounds
``limits``    what this machine could do at most, from probes in the compiled core
``peers``     the others, one module each, and rnncore as one of them
``race``      one contestant in one row: built, its answer checked, then timed
``modes``     threads, precision and instruction set of a run
``crew``      a process for every contestant, and the turns they take
``worker``    such a process
``results``   what a run comes to: a JSON document, a Markdown table
``plots``     the same as pictures
``command``   ``python -m rnncore bench``

Nothing here is imported unless asked for.  ``benchmarks/run.py`` runs the whole grid.
"""
