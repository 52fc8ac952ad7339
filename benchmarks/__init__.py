"""What evalsuite costs beside its peers, measured in one run against one fast mock server. See README.md."""
