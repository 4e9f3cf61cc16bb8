"""How good a dataset is: checks of its items, what they find, a score, and what can be done about it.

`codes` names all checks. `runs` starts and carries out a look at a dataset in the background, `work` is that look,
`acts` does something about what was found, `report` reads it for pages and API. The modules named for a kind of data
(texts, images, sounds, films, sheets) measure one item and judge what they measured; they load heavy packages inside
their functions, since the web process imports this package, too.
"""
