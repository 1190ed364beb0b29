"""`python -m fairexit` is `fairexit`."""

from fairexit.cli import main

if __name__ == "__main__":
    main()
