"""napari's side of the plugin: the only room that knows of a window."""
