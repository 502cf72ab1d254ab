"""Small pictures of images that people attach, made in a process of their own: an image may be an attack."""
