"""What Grafana answers to somebody who has not logged in: found by asking a genuine Grafana 12.4 with the defaults.

All else, each route of its own API description too, is refused: 401, or a redirect to the page of the login.
"""

from __future__ import annotations

# The page in which the browser then asks for the login or says what is wrong with a link.
PAGE = "the page itself, the same for everybody; what it shows comes from routes that ask for the login"
KEY = "only with a key that a user of Grafana gave away; without a right one there is nothing"
RELEASE = "a file of the release, the same on every node"

# Method and path -> the statuses that it may answer with, and why.
OPEN: dict[tuple[str, str], tuple[set[int], str]] = {
    ("GET", "/api/health"): ({200}, "for load balancers; without version and commit, see hide_version"),
    ("GET", "/healthz"): ({200}, "for load balancers: Ok"),
    ("GET", "/robots.txt"): ({200}, "keeps search engines out"),
    ("GET", "/login"): ({200}, PAGE),
    ("GET", "/signup"): ({200}, PAGE),
    ("GET", "/verify"): ({200}, PAGE),
    ("GET", "/invite/1"): ({200}, PAGE),
    ("GET", "/user/password/reset"): ({200}, PAGE),
    ("GET", "/user/password/send-reset-email"): ({200}, PAGE),
    ("GET", "/dashboard/snapshot/1"): ({200}, PAGE),
    ("GET", "/public-dashboards/1"): ({200}, PAGE),
    ("GET", "/bootdata"): ({200}, "the settings in that page: plugins and feature toggles of the release"),
    ("GET", "/admin"): ({302}, "leads to /, which asks for the login"),
    ("GET", "/plugins"): ({302}, "leads to /, which asks for the login"),
    ("GET", "/swagger"): ({200}, RELEASE),
    ("GET", "/swagger-ui"): ({301}, "leads to /swagger"),
    ("GET", "/openapi3"): ({301}, "leads to /swagger"),
    ("GET", "/public/img/grafana_icon.svg"): ({200}, RELEASE),
    ("GET", "/public/build/assets-manifest.json"): ({200}, RELEASE),
    ("GET", "/public/plugins/prometheus/plugin.json"): ({200}, RELEASE),
    ("GET", "/public/plugins/prometheus/module.js"): ({404}, "there is no such file"),
    ("GET", "/api/signing-keys/keys"): (
        {200},
        "the public halves of keys, with which others verify what Grafana signs",
    ),
    ("GET", "/api/user/signup/options"): ({200}, "two switches of the page for signing up, which is off"),
    ("GET", "/api/library-elements/name/1"): ({404}, "finds nothing without the login, not even what there is"),
    ("GET", "/api/snapshots/1"): ({404}, KEY),
    ("GET", "/api/user/invite/1"): ({404}, KEY),
    ("GET", "/api/public/dashboards/1"): ({400}, KEY),
    ("GET", "/api/public/dashboards/1/annotations"): ({400}, KEY),
    ("POST", "/api/public/dashboards/1/panels/1/query"): ({400}, KEY),
    ("POST", "/login"): ({400}, "the login itself"),
    ("POST", "/api/user/signup"): ({400, 401}, "signing up is off"),
    ("POST", "/api/user/invite/complete"): ({400}, KEY),
    ("POST", "/api/user/password/reset"): ({400}, KEY),
    ("POST", "/api/user/password/send-reset-email"): ({400}, "sends a message to a user's own address alone"),
    ("POST", "/log-grafana-javascript-agent"): ({202}, "dropped, since [log.frontend] is off"),
    ("POST", "/apis/features.grafana.app/v0alpha1/namespaces/default/ofrep/v1/evaluate/flags"): (
        {200},
        "feature toggles of the release, which the page asks for",
    ),
}

# What else one might try, beside what the release's own API description lists.
ELSE = """
GET /
GET /.well-known/security.txt
GET /a/1
GET /api
GET /api/admin/settings
GET /api/admin/stats
GET /api/alertmanager/grafana/api/v2/status
GET /api/dashboards/home
GET /api/dashboards/uid/ingest-service
GET /api/datasources
GET /api/datasources/proxy/uid/prometheus/api/v1/targets
GET /api/datasources/uid/prometheus/health
GET /api/frontend/settings
GET /api/gnet/plugins
GET /api/live/list
GET /api/live/ws
GET /api/login/ping
GET /api/org
GET /api/plugins
GET /api/plugins/errors
GET /api/prometheus/grafana/api/v1/rules
GET /api/search
GET /api/snapshots
GET /api/snapshots-delete/1
GET /api/user
GET /apis
GET /apis/dashboard.grafana.app/v1beta1
GET /apis/dashboard.grafana.app/v1beta1/namespaces/default/dashboards/ingest-service
GET /apis/folder.grafana.app/v1beta1
GET /apis/iam.grafana.app/v0alpha1
GET /avatar/d41d8cd98f00b204e9800998ecf8427e
GET /d/ingest-service
GET /dashboards
GET /debug/pprof
GET /debug/pprof/cmdline
GET /debug/pprof/heap
GET /explore
GET /favicon.ico
GET /goto/1
GET /livez
GET /logout
GET /metrics
GET /metrics/
GET /monitoring
GET /openapi/v2
GET /openapi/v3
GET /profile
GET /readyz
GET /render/d/ingest-service
GET /version
POST /api/admin/provisioning/dashboards/reload
POST /api/auth/keys
POST /api/dashboards/db
POST /api/datasources
POST /api/ds/query
POST /api/frontend-metrics
POST /api/live/push/x
POST /api/serviceaccounts
POST /api/snapshots
POST /api/snapshots-delete/1
POST /api/user/signup/step2
POST /apis/query.grafana.app/v0alpha1/namespaces/default/query
POST /debug/pprof/symbol
POST /metrics
POST /user/auth-tokens/rotate
"""
