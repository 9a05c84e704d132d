"""The page in the browser, by Gradio: one job at a time, and no file outside its own folder can be read."""
