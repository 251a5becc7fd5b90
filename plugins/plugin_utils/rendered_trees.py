"""Render all files of a service on the controller, and pack them for one trip to the node."""

from __future__ import annotations

import base64
import difflib
import fnmatch
import json
import os
import re
import zlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Never

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.common.text.converters import to_bytes
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.template import generate_ansible_template_vars, trust_as_template

TREE_OPTIONS = (
    "src",
    "contents",
    "dest",
    "owner",
    "group",
    "mode",
    "dir_mode",
    "modes",
    "secret",
    "shared",
    "kept",
    "on_change",
)
REACTIONS = ("restart", "reload", "nothing")
NAME = re.compile(r"[a-z0-9_-]+")
TREE_NAME = re.compile(r"[a-z][a-z0-9_-]*")
MODE = re.compile(r"0?[0-7]{3,4}")


def fail(option: str, value: object, remedy: str) -> Never:
    """Raise the error for a wrong option: its name, its value, what to do."""
    raise AnsibleActionFail(f"{option}: {value!r}: {remedy}")


def expect(kind: type | tuple[type, ...], option: str, value: Any, remedy: str) -> Any:
    """Return `value` if it is of a `kind`; else raise the error for `option`."""
    return value if isinstance(value, kind) else fail(option, value, remedy)


def check_names(given: Iterable[str], known: Iterable[str], option: str) -> None:
    """Raise for a name that is not among the `known`, with the nearest that is."""
    names = sorted(known)
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it must be one of {', '.join(names)}"
            fail(option, name, f"unknown; {hint}")


def parse_mode(option: str, value: Any) -> int:
    """The mode that an octal text such as "0640" stands for."""
    if not isinstance(value, str) or not MODE.fullmatch(value):
        fail(option, value, 'write an octal number in quotes, such as "0640"')
    return int(value, 8)


def parse_checks(checks: Any, trees: Collection[str]) -> list[dict[str, Any]]:
    """The commands, each as the fields of a Check; raises for one that is no list or that names no tree of the task."""
    remedy = "write a list of commands, each a list of words, or a mapping with command, about and tolerated"
    found = []
    for check in expect(list, "checks", checks, remedy):
        given = dict(check) if isinstance(check, Mapping) else {"command": check}
        words = expect(list, "checks", given.pop("command", None), remedy)
        if not words or given.keys() - {"about", "tolerated"}:
            fail("checks", check, remedy)
        for word in [] if given else words:
            check_names(re.findall(rf"{{({TREE_NAME.pattern})}}", str(word)), trees, "checks")
        found.append({"command": [str(word) for word in words], **{key: str(text) for key, text in given.items()}})
    if found and not trees:
        fail("checks", checks, "list at least one tree for them to check")
    return found


def parse_options(args: Mapping[str, Any]) -> dict[str, Any]:
    """The task's options for the payload, all but the trees; raises AnsibleActionFail for a wrong one."""
    name = args.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        fail("name", name, "name the service with a-z, 0-9, '_' and '-'")
    trees = expect(dict, "trees", args.get("trees") or {}, "list the trees, each by a name of its own")
    for tree in trees:
        if not TREE_NAME.fullmatch(str(tree)):
            fail("trees", tree, "name a tree with a-z, 0-9, '_' and '-', a letter first")
    links = expect(dict, "links", args.get("links") or {}, "write a dictionary, path to target")
    timeout = args.get("check_timeout", 60)
    if not str(timeout).isdigit() or int(timeout) == 0:
        fail("check_timeout", timeout, "write a number of seconds, 1 or more")
    return {
        "name": name,
        "links": {str(path): str(target) for path, target in links.items()},
        "checks": parse_checks(args.get("checks") or [], trees),
        "check_timeout": int(timeout),
    }


def parse_tree(name: str, spec: Any) -> dict[str, Any]:
    """A tree's options with their defaults; raises AnsibleActionFail for a wrong one."""
    at = f"trees.{name}"
    expect(dict, at, spec, "write a dictionary with at least dest")
    check_names(spec, TREE_OPTIONS, at)
    given = {option: value for option, value in spec.items() if value is not None}
    dest = expect(str, f"{at}.dest", given.get("dest"), "write the folder on the node")
    if not dest.startswith("/"):
        fail(f"{at}.dest", dest, "write an absolute path")
    modes = expect(dict, f"{at}.modes", given.get("modes", {}), "write a dictionary, pattern to mode")
    secret = expect(list, f"{at}.secret", given.get("secret", []), "write a list of patterns")
    flags = {}
    for flag in ("shared", "kept"):
        try:
            flags[flag] = boolean(given.get(flag, False))
        except TypeError:
            fail(f"{at}.{flag}", given[flag], "write true or false")
    on_change = given.get("on_change", "nothing")
    if on_change not in REACTIONS:
        fail(f"{at}.on_change", on_change, f"it must be one of {', '.join(REACTIONS)}")
    return {
        "src": expect((str, type(None)), f"{at}.src", given.get("src"), "name a folder in templates/"),
        "contents": expect(dict, f"{at}.contents", given.get("contents", {}), "write a dictionary, path to text"),
        "dest": dest.rstrip("/") or "/",
        "owner": str(given.get("owner", "root")),
        "group": str(given.get("group", "root")),
        "mode": parse_mode(f"{at}.mode", given.get("mode", "0644")),
        "dir_mode": parse_mode(f"{at}.dir_mode", given.get("dir_mode", "0755")),
        "modes": {str(key): parse_mode(f"{at}.modes.{key}", value) for key, value in modes.items()},
        "secret": [str(pattern) for pattern in secret],
        **flags,
        "on_change": on_change,
    }


def pack_tree(tree: Mapping[str, Any], files: Mapping[str, bytes], shown: Mapping[str, str]) -> dict[str, Any]:
    """The payload's form of a tree: patterns resolved; what is no UTF-8 is escaped, as JSON needs text.

    `shown` holds, by relative path, what a diff may show of a file.
    """

    def matches(rel: str, pattern: str) -> bool:
        return fnmatch.fnmatchcase(rel, pattern)

    return {
        **{option: tree[option] for option in ("dest", "owner", "group", "dir_mode", "shared", "kept")},
        "files": {
            rel: [
                content.decode("utf-8", "surrogateescape"),
                next((mode for pattern, mode in tree["modes"].items() if matches(rel, pattern)), tree["mode"]),
                rel in shown or any(matches(rel, pattern) for pattern in tree["secret"]),
                shown.get(rel),
            ]
            for rel, content in files.items()
        },
    }


def shown_texts(contents: Mapping[str, Any]) -> dict[str, str]:
    """What a diff may show of the files that say so themselves, by relative path."""
    return {str(rel): str(text["shown"]) for rel, text in contents.items() if isinstance(text, Mapping)}


def texts(trees: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the files of packed trees, path on the node -> text."""
    return {f"{tree['dest']}/{rel}": str(file[0]) for tree in trees.values() for rel, file in tree["files"].items()}


def pack(payload: Mapping[str, Any]) -> str:
    """One opaque text, so that the module can keep all of it out of logs by one `no_log`."""
    return base64.b64encode(zlib.compress(json.dumps(payload).encode())).decode()


def list_files(folder: str) -> list[str]:
    """Relative paths of all files below a folder."""
    return sorted(
        os.path.relpath(os.path.join(parent, name), folder)
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
    )


class Renderer:
    """Renders trees as ansible.builtin.template does, with the variables of a task."""

    def __init__(self, action: ActionBase, task_vars: Mapping[str, Any]) -> None:
        """
        :param action: the action whose task the trees belong to
        :param task_vars: the variables of the task
        """
        self._action = action
        self._loader = action._loader
        self._templar = action._templar
        self._task_vars = dict(task_vars)

    def payload(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the module needs of the trees; raise AnsibleActionFail for a wrong option."""
        payload = parse_options(args)
        trees = {str(name): parse_tree(name, spec) for name, spec in (args.get("trees") or {}).items()}
        payload["trees"] = {
            name: pack_tree(tree, self._collect(name, tree, self._task_vars), shown_texts(tree["contents"]))
            for name, tree in trees.items()
        }
        payload["on_change"] = {name: tree["on_change"] for name, tree in trees.items()}
        return payload

    def _collect(self, name: str, tree: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, bytes]:
        """All files of a tree by relative path."""
        files: dict[str, bytes] = {}
        for source, folder in self._sources(name, tree["src"]):
            path = os.path.join(folder, source)
            rel = source.removesuffix(".j2")
            if rel in files:
                fail(f"trees.{name}.src", tree["src"], f"{rel} and {rel}.j2 make the same file: drop one")
            if source != rel:
                files[rel] = self._render(path, os.path.join(tree["src"], source), f"{tree['dest']}/{rel}", task_vars)
            else:
                files[rel] = self._read(path)
        for rel, text in tree["contents"].items():
            if rel in files:
                fail(
                    f"trees.{name}.contents",
                    rel,
                    f"a file of that name is in templates/{tree['src']} too: drop one",
                )
            expect(str, f"trees.{name}.contents", rel, "write a relative path")
            whole = text.get("content") if isinstance(text, Mapping) else text
            if not isinstance(whole, str):
                fail(f"trees.{name}.contents", rel, f"the content is {type(whole).__name__}, it must be text")
            files[str(rel)] = to_bytes(whole, errors="surrogate_or_strict")
        return files

    def _sources(self, name: str, src: str | None) -> list[tuple[str, str]]:
        """The files of a tree's folder: relative path, folder."""
        if not src:
            return []
        try:
            folder = self._action._find_needle("templates", src)
        except AnsibleError:
            folder = None
        if not folder or not os.path.isdir(folder):
            fail(f"trees.{name}.src", src, "there is no such folder in the role's templates/")
        return [(source, folder) for source in list_files(folder)]

    def _read(self, path: str) -> bytes:
        """A file as it is, decrypted if it is vaulted."""
        real = self._loader.get_real_file(path)
        try:
            with open(real, "rb") as stream:
                return stream.read()
        finally:
            self._loader.cleanup_tmp_file(real)

    def _render(self, path: str, source: str, dest: str, task_vars: dict[str, Any]) -> bytes:
        """Render a template as ansible.builtin.template does by default."""
        search = [
            *task_vars.get("ansible_search_path", []),
            self._loader.get_basedir(),
            os.path.dirname(path),
        ]
        variables = {**task_vars, **generate_ansible_template_vars(source, path, dest)}
        if "ansible_managed" in task_vars:
            variables["ansible_managed"] = task_vars["ansible_managed"]
        try:
            text = trust_as_template(self._loader.get_text_file_contents(path))
            templar = self._templar.copy_with_new_env(
                searchpath=[place for folder in search for place in (os.path.join(folder, "templates"), folder)],
                available_variables=variables,
            )
            rendered = templar.template(
                text, escape_backslashes=False, overrides={"trim_blocks": True, "lstrip_blocks": False}
            )
        except AnsibleError as err:
            raise AnsibleActionFail(f"template {path} cannot be rendered") from err
        data: bytes = to_bytes("" if rendered is None else rendered, errors="surrogate_or_strict")
        return data
