"""What tests share, and what the tests of a rig, a rule or an instrument of your own may use.

`command_line` runs `labrhel` as a process, `configurations` has a model that trains in a fraction of a second,
`waiting` waits for a condition, `leaks` finds threads and files left open, `brokers` starts an MQTT broker.  What needs
the outer packages is theirs: `drivers.testing`, `simbackend.testing`, `calibration.testing`.

Nothing here imports pytest, so it serves any test runner, and a notebook.
"""
