"""`python -m labrhel` is the same as `labrhel`."""

from labrhel.cli import main

if __name__ == "__main__":
    main()
