"""Static files with a hash in their names; files that only point at source maps are taken as they are."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class AssetStorage(CompressedManifestStaticFilesStorage):
    manifest_strict = False
    # Third-party files name source maps that are not served.
    support_js_module_import_aggregation = False
    patterns = (("*.css", (r"""(?P<matched>url\((?P<quote>['"]{0,1})\s*(?P<url>.*?)(?P=quote)\))""",)),)
