"""Refuse wrong input, all that is wrong at once, or hand over what was made of it."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

ARGUMENTS = {
    "made": {"type": "dict", "default": {}},
    "problems": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module of the same name for the documentation."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return what was made, or raise AnsibleActionFail with all that is wrong."""
        super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(ARGUMENTS)
        made = dict(given["made"])
        problems = [*given["problems"], *made.pop("problems", [])]
        if problems:
            raise AnsibleActionFail("\n".join(problems))
        # It may hold secrets.
        return {"changed": False, "made": made, "_ansible_no_log": True}
