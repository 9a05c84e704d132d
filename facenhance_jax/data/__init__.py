"""From a tree of face clips to training batches."""
