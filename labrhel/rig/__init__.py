"""What a rig declares: capabilities, wiring, calibration, devices."""
