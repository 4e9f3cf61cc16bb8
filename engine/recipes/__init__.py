"""The kinds of training, a folder each; `engine.catalogue` lists them."""
