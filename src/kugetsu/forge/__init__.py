"""Forges: the web side of git servers. Gitea (Forgejo too) and GitHub, spoken to by HTTP."""
