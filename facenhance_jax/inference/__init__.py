"""From a low-res clip and a photo to the enhanced clip."""
