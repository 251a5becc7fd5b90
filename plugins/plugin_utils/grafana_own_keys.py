"""The keys of grafana.ini that the role writes or relies on, and what to use in their place."""

from __future__ import annotations

ASKED = "the run asks Grafana, and would no longer get an answer"
PLUGINS = (
    "Grafana fetches no plugin at its start, since it would unload its own Prometheus data source: use grafana_plugins"
)
DATABASE = "Grafana can write grafana_data_dir alone: use that for another place"
# What each value is refused for. Keys that are no more than a default of the role, such as log.mode, are not here.
OWN_KEYS = {
    "paths.data": "use grafana_data_dir",
    "paths.logs": "they lie in grafana_data_dir, and log.mode says whether there are any: use those",
    "paths.plugins": "they lie in the folder plugins of grafana_data_dir: use that",
    "paths.provisioning": "use grafana_datasources and grafana_dashboards_dirs",
    "server.http_addr": "use grafana_listen_address",
    "server.http_port": "use grafana_port",
    "server.protocol": "use tls_certificate and tls_key, or tls_self_signed",
    "server.cert_file": "use tls_certificate",
    "server.cert_key": "use tls_key",
    "server.cert_pass": "use a tls_key without a passphrase",
    "server.socket": "Grafana listens on grafana_port: use that",
    "server.root_url": "use grafana_external_url",
    "server.domain": "use grafana_external_url, which has it",
    "server.serve_from_sub_path": "use monitoring_proxy_keeps_path",
    "security.admin_user": "use grafana_admin_user",
    "security.admin_password": "use grafana_admin_password",
    "security.secret_key": "use grafana_secret_key",
    "plugins.preinstall": PLUGINS,
    "plugins.preinstall_sync": PLUGINS,
    "plugins.preinstall_async": PLUGINS,
}
# Those of which one value says what is so anyway, and the others are refused.
ONLY = {
    "server.enforce_domain": (False, f"{ASKED}, since it does not ask by that name: leave it out"),
    "security.disable_initial_admin_creation": (False, f"{ASKED}: it does so as the administrator"),
    "auth.basic.enabled": (True, f"{ASKED}: it does so with the password; auth.disable_login_form hides the form"),
    "plugins.preinstall_disabled": (True, PLUGINS),
    "plugins.preinstall_auto_update": (False, PLUGINS),
}
