"""What makes files that ship with the package: the demo model's weights. Never imported by it."""
