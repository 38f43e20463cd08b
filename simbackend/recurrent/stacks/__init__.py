"""Recurrent units inside PyTorch models: the layer, the paper's HSSM, its training.  Needs `labrhel[torch]`."""
