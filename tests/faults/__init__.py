"""Every row of the fault table that can occur on one machine, against a server that misbehaves on purpose."""
