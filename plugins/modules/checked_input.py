"""What the action plugin of the same name does; it runs on the controller alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: checked_input
short_description: Refuse wrong input, all that is wrong at once, or hand over what was made of it
description:
  - Fails with every sentence that says what is wrong. Where there is none, it returns what was made of the input, for
    B(register). An expression is evaluated again at each place that uses it; what is registered is not.
  - Asks the node for nothing. What it returns may hold secrets, and is shown by no run.
options:
  made:
    description: What was made of the input. Sentences in its C(problems) count, too.
    type: dict
    default: {}
  problems:
    description: Sentences on what is wrong.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Does the same.
    support: full
author: [emr-monitoring contributors]
"""

EXAMPLES = r"""
- name: Refuse wrong input
  emr.monitoring.checked_input:
    made: "{{ settings | emr.monitoring.prometheus_configuration }}"
    problems: "{{ query('emr.monitoring.misspelt_variables', 'prometheus_') }}"
  register: checked
"""

RETURN = r"""
made:
  description: What was made, without C(problems).
  returned: success
  type: dict
"""
