"""Where faces are: landmarks, the aligned low-res face, the square of a clip that frames it, its place in the photo."""
