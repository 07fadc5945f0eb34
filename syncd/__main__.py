"""`python -m syncd`: the command line, for where no `syncd` is installed on the path."""

from syncd.cli.main import main

if __name__ == "__main__":
    main()
