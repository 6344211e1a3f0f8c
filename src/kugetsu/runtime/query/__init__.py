"""Questions to a workspace that only read: a state at a point, what a name stands for, what the screens are made of."""
