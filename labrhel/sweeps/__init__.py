"""Many runs of one configuration: each combination of values is a point, with a run folder named by what decides it.

axes        `--set KEY=VALUES` and `--zip KEY=VALUES`: which values go together
planning    the points, the folder of each, and the file of the sweep that names them all
carrying    those that are missing are run, those that died are resumed, on a crew
crews       who carries them out: on this computer children of a process that has imported everything
            (`labrhel.cli.nursery`), each of which ends safely when whoever started it dies (`labrhel.cli.point`)
child       a point as an executor gets it
cluster     the crew of a Dask cluster
figures     what came of it: rows, CSV, and an xarray Dataset with the swept keys as dimensions
"""
