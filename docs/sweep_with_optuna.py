"""Optuna over sweeps: it proposes a learning rate and a nudge, two at a time, and learns from their losses.

    pip install optuna
    python sweep_with_optuna.py

The study and the runs are both kept, so that the same call goes on where it was stopped.
"""
# pyright: reportMissingImports=false

import math

import optuna

import labrhel

ROUNDS, AT_ONCE = 4, 2

study = optuna.create_study(
    study_name="rates",
    storage="sqlite:///rates.db",
    load_if_exists=True,
    sampler=optuna.samplers.TPESampler(seed=1, constant_liar=True),  # trials that are under way are kept apart
)
for _ in range(ROUNDS):
    trials = [study.ask() for _ in range(AT_ONCE)]
    found = labrhel.sweep(
        "coupled_oscillators",
        {"optimizer.steps": [20]},
        together={
            "optimizer.rate": [trial.suggest_float("rate", 1e-3, 0.1, log=True) for trial in trials],
            "protocol.eps": [trial.suggest_float("eps", 1e-5, 1e-2, log=True) for trial in trials],
        },
        workers=AT_ONCE,
    )
    for trial, loss in zip(trials, found.loss.values, strict=True):
        if math.isnan(loss):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, float(loss))
print(study.best_params, study.best_value)
