"""The house rules: who may import whom, what the web process never loads, what production settings say."""

import os
import subprocess
import sys

import pytest

from common.paths import PROJECT

SECRET = "x" * 25 + "0123456789abcdefghijklmnopqrstuvwxyz"


def python(code, **environment):
    """Run code in a fresh interpreter; its output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TRAINHUB_")}
    clean |= {"DJANGO_SETTINGS_MODULE": "trainhub.settings", "TRAINHUB_HOME": os.environ["TRAINHUB_HOME"]}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=clean | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_web_process_that_has_loaded_every_page_has_loaded_neither_torch_nor_decoders():
    decoders = "'av', 'pyarrow', 'pillow_heif', 'python_calamine', 'charset_normalizer', 'numpy', 'minio'"
    heavy = f"{{'torch', 'sklearn', 'transformers', 'scipy', 'river', {decoders}}}"
    loaded = "from django.urls import get_resolver; list(get_resolver().reverse_dict)"
    # The API framework imports requests where some library brought it along, and that a decoder of text.
    alone = "import sys; sys.modules['requests'] = None"
    code = f"{alone}; import trainhub.asgi; {loaded}; print(sorted({heavy} & set(sys.modules)))"
    assert python(code) == "[]"


def test_a_node_manager_has_not_loaded_torch():
    code = "import django; django.setup(); import jobs.node, jobs.tasks, sys; print('torch' in sys.modules)"
    assert python(code) == "False"


def test_the_engine_runs_where_neither_django_nor_our_apps_can_be_imported():
    code = (
        "import runpy, sys; sys.argv = ['engine', '--help']\n"
        "try: runpy.run_module('engine', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(any(name.split('.')[0] in {'django', 'jobs', 'registry'} and module is not None"
        " for name, module in sys.modules.items()), sys.modules.get('datasets'))"
    )
    assert python(code).splitlines()[-1] == "False None"


def test_rooms_keep_to_their_contracts():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "3 kept, 0 broken" in done.stdout


def test_a_contract_fires_when_it_is_provoked(tmp_path):
    """The positive control: a room that imports upwards is caught."""
    for name, text in {"high/__init__.py": "", "low/__init__.py": "import high\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_packages = ["high", "low"]\n'
        '[[tool.importlinter.contracts]]\nname = "rooms"\ntype = "layers"\nlayers = ["high", "low"]\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1


PRODUCTION = {"TRAINHUB_URL": "https://hub.example.org", "TRAINHUB_SECRET_KEY": SECRET}


def test_production_settings_pass_the_deployment_check():
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=PROJECT, env=os.environ | PRODUCTION, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_production_settings_protect_cookies_hosts_and_transport():
    expected = {
        "DEBUG": False,
        "SECURE_SSL_REDIRECT": True,
        "SECURE_HSTS_SECONDS": 31536000,
        "SESSION_COOKIE_SECURE": True,
        "SESSION_COOKIE_NAME": "__Host-sessionid",
        "CSRF_COOKIE_SECURE": True,
        "CSRF_COOKIE_NAME": "__Host-csrftoken",
        "ALLOWED_HOSTS": ["hub.example.org"],
        "CSRF_TRUSTED_ORIGINS": ["https://hub.example.org"],
        "X_FRAME_OPTIONS": "DENY",
    }
    code = f"from django.conf import settings; print({{name: getattr(settings, name) for name in {list(expected)}}})"
    assert python(code, **PRODUCTION) == str(expected)


@pytest.mark.parametrize("key", ["", "short"])
def test_production_does_not_start_without_a_good_secret(key):
    environment = os.environ | PRODUCTION | {"TRAINHUB_SECRET_KEY": key}
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "TRAINHUB_SECRET_KEY" in done.stderr


def test_a_secret_key_is_made_once_kept_private_and_differs_between_homes(tmp_path):
    keys = set()
    for name in ("one", "two"):
        home = tmp_path / name
        keys |= {python("from django.conf import settings; print(settings.SECRET_KEY)", TRAINHUB_HOME=str(home))}
        keys |= {python("from django.conf import settings; print(settings.SECRET_KEY)", TRAINHUB_HOME=str(home))}
        assert (home / "secret_key").stat().st_mode & 0o777 == 0o600
    assert len(keys) == 2
    assert all(len(key) >= 50 for key in keys)


def test_another_package_called_datasets_is_noticed(monkeypatch):
    from importlib.machinery import ModuleSpec

    from common import checks

    monkeypatch.setattr(
        checks, "find_spec", lambda name: ModuleSpec(name, None, origin="/elsewhere/datasets/__init__.py")
    )
    assert [found.id for found in checks.datasets_is_ours(None)] == ["trainhub.E001"]
    monkeypatch.undo()
    assert checks.datasets_is_ours(None) == []
