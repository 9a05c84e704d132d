"""Photographs that perform expressions: one portrait becomes clips (Averbuch-Elor et al. 2017 did it from a video).

animator.animate        a photo and its 68 landmarks -> the frames of an expression and their landmarks
donors.Donor            the teeth of another photo
checking.check          whether the face in such frames is found where it was asked for
light.relight           another light, exposure and colour for a whole clip
"""
