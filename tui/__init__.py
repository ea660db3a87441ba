"""The workbench: a Textual program over the services of core."""
