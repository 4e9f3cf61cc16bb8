"""Static files as a hub collects them."""

from __future__ import annotations

import gzip

from common.static import AssetStorage


def test_what_pages_ask_for_is_compressed_and_nothing_else_or_of_before(tmp_path):
    rules = "a { color: red }\n" * 200
    (tmp_path / "a.css").write_text(f"{rules}/*# sourceMappingURL=a.css.map */")
    (tmp_path / "a.css.map").write_text("{}" * 1000)
    (tmp_path / "a.css.gz").write_bytes(gzip.compress(b"of an earlier release"))
    storage = AssetStorage(location=tmp_path, base_url="/static/")
    assert all(storage.post_process({name: (storage, name) for name in ("a.css", "a.css.map")}))
    served = storage.hashed_files["a.css"]
    assert [path.name for path in tmp_path.glob("*.gz")] == [f"{served}.gz"]
    assert gzip.decompress((tmp_path / f"{served}.gz").read_bytes()).decode().startswith(rules)
    assert storage.hashed_files["a.css.map"] in (tmp_path / served).read_text()
