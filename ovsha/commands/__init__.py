"""The commands that are more than one question to the agent: a module each, whose `add` puts it on the command line."""
