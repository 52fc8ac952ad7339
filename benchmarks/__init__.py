"""The cost of evalsuite and of its peers, measured in one run against one fast mock server. See README.md."""
