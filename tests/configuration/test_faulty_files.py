"""A user's YAML that cannot be read is told of as such."""

from __future__ import annotations

import pytest

from autogal import cli

FILES = {
    "circle": (b"defaults:\n  - other\nname: circle\n", "refers to itself"),
    "itself": (b"defaults:\n  - itself\nname: itself\n", "refers to itself"),
    "alias": (b"profile: &a [*a]\nname: alias\n", "refers to itself"),
    "tab": (b"name: tab\nprofile:\tsersic\n\tbounds: 3\n", "tab.yaml, line 2"),
    "latin": (b"name: caf\xe9\nprofile: sersic\n", "latin.yaml is not UTF-8"),
    "open": (b"name: [open\n", "cannot be read as YAML"),
    "nul": (b"name: a\x00b\n", "cannot be read as YAML"),
    "twice": (b"profile: sersic\nprofile: moffat\nname: twice\n", "duplicate key"),
    "mapping": (b"defaults: {a: }\nname: mapping\n", "defaults"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_wrong_with_a_file_is_said(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    content, said = FILES[name]
    (tmp_path / "conf" / "model" / f"{name}.yaml").write_bytes(content)
    (tmp_path / "conf" / "model" / "other.yaml").write_bytes(b"defaults:\n  - circle\nname: other\n")
    (tmp_path / "a.fits").write_bytes(b"")
    assert cli.main(["fit", "a.fits", "--config-dir=conf", f"model={name}"]) == 2
    told = capsys.readouterr().err
    assert said in told and "fault in autogal" not in told and "Unexpected" not in told
    assert len(told.splitlines()) == 2
    assert not (tmp_path / "autogal_run").exists()
