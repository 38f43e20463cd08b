"""Many runs of one configuration: each combination of values is a point, with a run folder named by what decides it.

axes        `--set KEY=VALUES` and `--zip KEY=VALUES`: which values go together
planning    the points, the folder of each, and the file of the sweep that names them all
carrying    those that are missing are run, those that died are resumed, on a crew
nursery     the crew of this computer: each point a child process, forked from one that has imported everything
child       a point as a process of its own, which ends safely when whoever started it dies
cluster     the crew of a Dask cluster
figures     what came of it: rows, CSV, and an xarray Dataset with the swept keys as dimensions
"""
