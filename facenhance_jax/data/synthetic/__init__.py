"""People drawn by a program, who perform expressions: training data for those who have none."""
