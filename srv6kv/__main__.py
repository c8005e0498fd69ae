"""``python -m srv6kv`` is the same as the console script."""

from srv6kv.cli import main

if __name__ == "__main__":
    main()
