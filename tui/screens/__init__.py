"""One file a screen, each with its table of actions."""
