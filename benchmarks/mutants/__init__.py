"""Can the tests fail?  Faults are put into the core one by one, and its mirrored tests must notice: `make mutants`.

    python -m benchmarks.mutants [--seed N] [--count N] [--only PATH] [--all] [--jobs N] [--list]

`faults` finds every place where a small fault can be made, `chosen` names the modules that count as the core, their
tests, faults chosen by hand and those that change nothing, and `trial` runs tests on a copy of the tree with one fault
in it.  A survivor without a reason is a test that is missing.
"""
