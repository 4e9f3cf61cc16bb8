"""Names are labels and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from datasets import names


def test_the_folder_that_holds_a_file_is_its_class():
    assert names.label("cats/1.png") == "cats"
    assert names.label("photos/train/cats/1.png") == "cats"
    assert names.label("1.png") == ""


def test_names_of_attacks_become_harmless_labels():
    assert names.clean("../../etc/passwd") == "etc/passwd"
    assert names.clean("C:\\pets\\cats\\1.png") == "pets/cats/1.png"
    assert names.clean("//server/cats/./1.png") == "server/cats/1.png"
    assert names.clean("a\x00b\u202egnp.exe\n") == "abgnp.exe"
    assert names.clean("..") == names.clean("") == "unnamed"


@given(st.text(max_size=700))
def test_no_name_can_lead_anywhere(name):
    shown = names.clean(name)
    assert 0 < len(shown) <= 500
    assert shown.isprintable() and not shown.startswith("/")
    assert not {"..", ".", ""} & set(shown.split("/"))
    assert len(names.label(shown)) <= 200
