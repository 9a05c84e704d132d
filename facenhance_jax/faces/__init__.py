"""Where faces are: landmarks, the aligned low-res face, the square that frames it, its place in the photo."""
