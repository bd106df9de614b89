"""The command `skmxne`."""
