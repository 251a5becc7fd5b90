"""What each small filter promises of any input, however hostile: it arrives as it is, or it is refused."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.emr.monitoring.plugins.filter.systemd import systemd_arguments
from ansible_collections.emr.monitoring.plugins.filter.yaml_file import HIDDEN, yaml_file
from ansible_collections.emr.monitoring.plugins.lookup.misspelt_variables import misspelt
from ansible_collections.emr.monitoring.plugins.module_utils.questions import SHOWN
from ansible_collections.emr.monitoring.plugins.module_utils.questions_prometheus import down, table
from ansible_collections.emr.monitoring.plugins.plugin_utils.bcrypt_hash import bcrypt_hash
from ansible_collections.emr.monitoring.plugins.plugin_utils.grafana_ini import grafana_ini_file
from ansible_collections.emr.monitoring.plugins.plugin_utils.rule_files import prometheus_rule_files
from hypothesis import given, settings
from hypothesis import strategies as st

# Any character, and time and again those that mean something to a shell, a template, a parser or a terminal.
TEXT = st.text() | st.lists(
    st.sampled_from(
        [*"\"'`\\$%;#[]{}=: -a\n\r\t\0\x1b\x85\u202e\u2028é", '"""', "{{ 7*7 }}", "{% raw %}", "$(id)", "%n"]
    )
).map("".join)
ALPHANUMERIC = st.text("ABYZabyz0129", min_size=22, max_size=30)
# What Go's unicode.IsSpace takes for white space.
GO_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def read_as_grafana(text: str) -> dict[tuple[str, str], str]:
    """Read a file as the library does that Grafana uses, gopkg.in/ini.v1 with its default options."""
    values = {}
    section = ""
    lines = iter(text.split("\n"))
    for line in lines:
        line = line.strip(GO_SPACE)  # noqa: PLW2901
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            section = line[1 : line.rindex("]")]
            continue
        found = re.match("[^=:]+[=:]", line)
        assert found, line
        value = line[found.end() :].strip(GO_SPACE)
        quote = '"""' if len(value) > 3 and value.startswith('"""') else "`" if value.startswith("`") else ""
        if quote:
            assert value.rindex(quote) > 0, "it goes on in the next line"
            value = value[len(quote) : value.rindex(quote)]
        else:
            while value.endswith("\\"):
                value = value[:-1] + next(lines).strip(GO_SPACE)
            value = re.split("[#;]", value)[0].strip(GO_SPACE)
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" and value.count(value[0]) == 2:
                value = value[1:-1]
        values[section, found[0][:-1].strip(GO_SPACE)] = value
    return values


@given(TEXT)
def test_grafana_reads_the_value_that_was_given_and_no_other(value: str) -> None:
    sections: dict[str, Any] = {"section": {"key": value, "next": "n"}, "security": {"last": 1}}
    if "\n" in value or "\r" in value:
        with pytest.raises(AnsibleFilterError, match=r"grafana_ini\.section\.key holds a line break"):
            grafana_ini_file(sections, {})["content"]
    else:
        assert read_as_grafana(grafana_ini_file(sections, {})["content"]) == {
            ("section", "key"): value,
            ("section", "next"): "n",
            ("security", "last"): "1",
        }


@given(TEXT, TEXT)
def test_grafana_reads_the_names_that_were_given_and_no_others(section: str, key: str) -> None:
    try:
        text = grafana_ini_file({section: {key: "value"}}, {})["content"]
    except AnsibleFilterError as error:
        assert "is no name of a section or key" in str(error)  # noqa: PT017
    else:
        assert read_as_grafana(text) == {(section, key): "value"}


def split_as_systemd(line: str) -> list[str]:
    """Split a command line as systemd.service(5), "Command lines", and systemd.syntax(7) describe it."""
    assert not re.search(r"(?<!\\)\n|[^\n\t\x20-\x7e\x80-\U0010ffff]", line), "systemd takes this for another line"
    words = []
    for quoted in re.findall(r'"(?:[^"\\]|\\.)*"|\S+', line.replace("\\\n", " ")):
        assert quoted[0] == quoted[-1] == '"', quoted
        word = re.sub(r'\\([\\"])', r"\1", quoted[1:-1])
        assert not re.search(r"(?<!%)(?:%%)*%(?!%)|(?<!\$)(?:\$\$)*\$(?!\$)", word), "it would be expanded"
        words.append(word.replace("%%", "%").replace("$$", "$"))
    return words


@given(st.lists(TEXT, min_size=1, max_size=3))
def test_systemd_passes_on_the_arguments_that_were_given_and_no_others(arguments: list[str]) -> None:
    if all(argument.isprintable() for argument in arguments):
        assert split_as_systemd(systemd_arguments(arguments)) == arguments
    else:
        with pytest.raises(AnsibleFilterError, match="holds a line break or another unprintable character"):
            systemd_arguments(arguments)


@given(TEXT | st.text(min_size=60, max_size=80), ALPHANUMERIC)
@settings(max_examples=20, deadline=None)
def test_a_hash_fits_its_password_and_a_longer_password_is_refused(password: str, salt: str) -> None:
    if len(password.encode()) > 72:
        with pytest.raises(AnsibleFilterError, match="a_password has more than 72 bytes"):
            bcrypt_hash(password, salt, "a_password")
    else:
        hashed = bcrypt_hash(password, salt, "a_password")
        assert hashed == bcrypt_hash(password, salt, "a_password")
        assert bcrypt.checkpw(password.encode(), hashed.encode())


@given(st.text(max_size=40))
def test_a_salt_that_is_none_is_refused(salt: str) -> None:
    if not re.match("[A-Za-z0-9]{22}", salt):
        with pytest.raises(AnsibleFilterError, match="a_password_salt does not begin with 22 characters"):
            bcrypt_hash("a good phrase", salt, "a_password")


@given(st.sets(TEXT), st.sets(TEXT, min_size=1))
def test_exactly_the_unknown_variables_are_named_each_with_a_known_one(names: set[str], known: set[str]) -> None:
    sentences = misspelt(names, known)
    assert len(sentences) == len(names - known)
    for sentence, name in zip(sentences, sorted(names - known), strict=True):
        assert sentence in {f"{name} is not a variable of this project: did you mean {right}?" for right in known}


@given(TEXT, TEXT, TEXT.map(lambda text: text * 30))
def test_what_a_service_says_of_itself_stays_on_its_line_of_the_table(job: str, url: str, error: str) -> None:
    hostile: dict[str, Any] = {"health": "down", "scrapePool": job, "scrapeUrl": url, "lastError": error, "labels": {}}
    sound = hostile | {"health": "up", "scrapePool": "sound", "scrapeUrl": "http://sound"}
    rows, sentences = table([hostile, sound], {}), down([hostile, sound])
    assert [row[:4].strip() for row in rows] == ["DOWN", "UP"]
    assert rows[1].endswith(" http://sound")
    assert sentences[0].endswith("Is its port in prometheus_scrape_configs right?")
    for line in (*rows, *sentences):
        assert line.isprintable()
        assert len(line) < 3 * 10 * SHOWN + 200
    if f"{job}{url}{error}".isprintable():
        assert f"({error[:SHOWN]}" in sentences[0] or error == ""


@given(st.dictionaries(TEXT.filter(lambda name: "/" not in name and "\0" not in name), TEXT, min_size=1, max_size=3))
@settings(deadline=None)
def test_a_rule_file_arrives_under_its_name_as_it_is(files: dict[str, str]) -> None:
    files = {f"a{name[:50]}.yml": text for name, text in files.items()}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_bytes(text.encode())
        if all(map(str.isprintable, files)):
            assert prometheus_rule_files([folder]) == {f"rules/{name}": text for name, text in files.items()}
        else:
            with pytest.raises(
                AnsibleFilterError, match=r"prometheus_rules_dirs: .* has an unprintable name"
            ) as caught:
                prometheus_rule_files([folder])
            assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["a dangling link", "no UTF-8"])
def test_a_rule_file_that_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.yml"
    if kind == "a dangling link":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(b"groups: [] # \xff")
    with pytest.raises(AnsibleFilterError, match=r"prometheus_rules_dirs: .*/a\.yml cannot be read .* or remove it"):
        prometheus_rule_files([str(tmp_path)])


SCALAR = TEXT | st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
STRUCTURE = st.recursive(SCALAR, lambda part: st.lists(part, max_size=3) | st.dictionaries(TEXT, part, max_size=3))


@given(st.dictionaries(TEXT, STRUCTURE, max_size=3))
@settings(deadline=None)
def test_what_is_written_as_yaml_is_read_as_it_was_and_none_of_it_is_shown(values: dict[str, Any]) -> None:
    written = yaml_file(values)
    assert yaml.safe_load(written["content"]) == values
    assert scalars(yaml.safe_load(written["shown"])) <= {HIDDEN}
    # Line by line, or a diff could not say which of them changed.
    assert written["content"].count("\n") == written["shown"].count("\n")


def scalars(structure: Any) -> set[Any]:
    """Return the values of a structure, its keys left out."""
    if isinstance(structure, dict | list):
        parts = structure.values() if isinstance(structure, dict) else structure
        return set().union(*map(scalars, parts))
    return {structure}
