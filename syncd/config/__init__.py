"""From files and environment to one frozen value; nothing else reads a file or a variable later."""
