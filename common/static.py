"""Static files: single files from node_modules, and names that carry a hash of the content."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage

log = logging.getLogger(__name__)
PACKAGES = Path(settings.BASE_DIR) / "node_modules"
# Served as -> lies in node_modules as. The maps are named in the files' last lines, so they must exist.
ASSETS = {
    "tabler/css/tabler.min.css": "@tabler/core/dist/css/tabler.min.css",
    "tabler/css/tabler.min.css.map": "@tabler/core/dist/css/tabler.min.css.map",
    "uplot/uPlot.min.css": "uplot/dist/uPlot.min.css",
    "uplot/uPlot.iife.min.js": "uplot/dist/uPlot.iife.min.js",
}


class AssetFinder(BaseFinder):
    """Finds the listed files of node_modules, and nothing else of it."""

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        place = PACKAGES / ASSETS[path] if path in ASSETS else None
        found = str(place) if place and place.exists() else None
        if find_all:
            return [found] if found else []
        return found

    def list(self, ignore_patterns: Any) -> Iterator[tuple[str, FileSystemStorage]]:
        storage = _Packages(location=PACKAGES)
        for served, lies in ASSETS.items():
            if (PACKAGES / lies).exists():
                yield served, storage
            else:
                log.error("node_modules/%s is missing, so pages will look bare. Run: npm ci --ignore-scripts", lies)


class _Packages(FileSystemStorage):
    """Opens an asset by the name under which it is served."""

    def path(self, name: str) -> str:
        return str(PACKAGES / ASSETS[name])


class AssetStorage(CompressedManifestStaticFilesStorage):
    manifest_strict = False

    def compress_files(self, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Only what pages ask for, names with a hash and no source maps: a quarter of the work."""
        asked = {path for path in self.hashed_files.values() if not path.endswith(".map")}
        # Where an earlier release compressed the others too, they would be served as they were then.
        self.delete_files(f"{path}.gz" for path in paths if path not in asked)
        return super().compress_files(path for path in paths if path in asked)
