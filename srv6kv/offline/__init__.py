"""A cluster for commands that end: from files or servers, without the command line."""
