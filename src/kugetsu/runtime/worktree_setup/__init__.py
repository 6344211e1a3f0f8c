"""Make a checkout ready to work in: ignored files copied, submodules, large files, the user's set-up command."""
