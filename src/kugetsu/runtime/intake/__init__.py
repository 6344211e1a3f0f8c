"""The intake: labelled issues become tasks, by what the forge shows; and the labels that show their state there."""
