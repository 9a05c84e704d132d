"""Light generators: a framed photo and an expression become a low-res clip.

A generator is an object with `generate(photo, expression, strength, frames, seed) -> low`, where the photo is framed
(`faces.portrait.Portrait`) and low goes from its own low-res face to the apex: uint8 [frames, 64, 64, 3], laid out as
`faces.alignment.low_frame` does. Staying at the apex and going back are not its business (`inference.expressing`).

choosing.named          any of these by its name
animated.Animated       the photo performs the expression itself
learned.Learned         networks that were trained: MotionGAN moves landmarks, the renderer draws the face with them
learned.Imagined        ImaGINator
"""
