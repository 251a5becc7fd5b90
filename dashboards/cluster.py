"""The cluster under the pipeline: its hosts, HDFS and YARN, where emr_cluster_monitoring is true."""

from dashboards.panels import (
    DATASOURCE,
    PLAIN,
    Json,
    collapsed,
    dashboard,
    firing,
    linked,
    mapped,
    query,
    row,
    stat,
    states,
    timeseries,
)

CLUSTER, HDFS, YARN, NODES = "cluster", "hdfs", "yarn", "nodos"
# Of several NameNodes the active one knows. A standby ResourceManager tells of none, and adds nothing to a sum.
ACTIVE = '{hastate="active"}'
ROOT = '{queue="root"}'
# Volumes of data and of the system; all else is memory or a view of another one.
DISKS = 'fstype=~"xfs|ext[34]"'
CHOSEN = 'instance=~"$nodo"'
DATANODE = "org_apache_hadoop_hdfs_server_datanode_fsdataset_impl_fs_dataset_impl"


def _selected(metric: str, *matchers: str) -> str:
    """Return the selector of a metric."""
    return f"{metric}{{{', '.join(matchers)}}}"


def _hdfs(metric: str) -> str:
    """Return the PromQL of a metric of HDFS, as the active NameNode knows it."""
    return f"sum(fs_namesystem_{metric}{ACTIVE})"


def _yarn(metric: str) -> str:
    """Return the PromQL of a metric of all of YARN's queues."""
    return f"sum(queue_metrics_{metric}{ROOT})"


def _busy(*matchers: str) -> str:
    """Return the PromQL of the part of each node's CPU that works."""
    idle = _selected("node_cpu_seconds_total", *matchers, 'mode="idle"')
    return f"1 - avg by (instance) (rate({idle}[5m]))"


def _fullest(*matchers: str) -> str:
    """Return the PromQL of the part of each node's fullest disk that is taken."""
    available = _selected("node_filesystem_avail_bytes", *matchers, DISKS)
    return f"max by (instance) (1 - {available} / node_filesystem_size_bytes)"


def _heap(job: str) -> str:
    """Return the PromQL of the part of the heap of each of a job's daemons that is taken."""
    return f'jvm_metrics_mem_heap_used_m{{job="{job}"}} / (jvm_metrics_mem_heap_max_m > 0)'


def _share(of: str) -> str:
    """Return the PromQL of the part of something of YARN that is allocated."""
    allocated, available = (_yarn(f"{kind}_{of}") for kind in ("allocated", "available"))
    return f"{allocated} / ({allocated} + {available})"


def _worse(yellow: float, red: float) -> Json:
    steps = [{"color": "green", "value": None}, {"color": "yellow", "value": yellow}, {"color": "red", "value": red}]
    return {"thresholds": {"mode": "absolute", "steps": steps}}


def _number(title: str, description: str, unit: str, expr: str, *, legend: str = "Total", field: Json = PLAIN) -> Json:
    return stat(title, description, unit, query(expr, legend), field=field)


HDFS_USED = f"1 - {_hdfs('capacity_remaining')} / {_hdfs('capacity_total')}"
MEMORY_SHARE, CORES_SHARE = _share("mb"), _share("v_cores")
NODE_STATES = [
    query("sum(cluster_metrics_num_active_n_ms)", "activos"),
    query("sum(cluster_metrics_num_unhealthy_n_ms)", "no sanos"),
    query("sum(cluster_metrics_num_lost_n_ms)", "perdidos"),
    query("sum(cluster_metrics_num_decommissioning_n_ms)", "retirándose"),
]
DAEMONS_PANEL = stat(
    "Demonios Activos",
    "Parte de los demonios de cada tipo cuyas métricas se pueden leer.",
    "percentunit",
    query('avg by (component) (up{job=~"hdfs|yarn"})', "{{component}}"),
    field={
        "thresholds": {"mode": "absolute", "steps": [{"color": "red", "value": None}, {"color": "green", "value": 1}]}
    },
)
STATES_PANEL = timeseries("NodeManagers por Estado", "Nodos de YARN en cada estado.", "none", *NODE_STATES)
APPLICATIONS_PANEL = timeseries(
    "Aplicaciones",
    "Aplicaciones que corren y que esperan recursos.",
    "none",
    query(_yarn("apps_running"), "corren"),
    query(_yarn("apps_pending"), "esperan"),
)
CPU_PANEL = timeseries(
    "CPU y Reparto de YARN",
    "CPU ocupada de cada nodo junto a lo que YARN ha repartido: mucho reparto y poca CPU es sitio pedido de más.",
    "percentunit",
    query(_busy(), "CPU {{instance}}"),
    query(CORES_SHARE, "núcleos repartidos"),
    query(MEMORY_SHARE, "memoria repartida"),
)
FULLEST_PANEL = timeseries(
    "Disco más Lleno",
    "El disco más lleno de cada nodo: con el 90% YARN lo retira.",
    "percentunit",
    query(_fullest(), "{{instance}}"),
)
CAPACITY_PANEL = timeseries(
    "Capacidad de HDFS",
    "Lo que ocupan HDFS y otros en los discos de HDFS, y lo que queda.",
    "bytes",
    query(_hdfs("capacity_used"), "HDFS"),
    query(_hdfs("capacity_used_non_dfs"), "otros"),
    query(_hdfs("capacity_remaining"), "libre"),
)
BLOCKS_PANEL = timeseries(
    "Bloques con Problemas",
    "Bloques perdidos, corruptos, o con menos réplicas de las debidas.",
    "none",
    query(_hdfs("missing_blocks"), "perdidos"),
    query(_hdfs("corrupt_blocks"), "corruptos"),
    query(_hdfs("under_replicated_blocks"), "con pocas réplicas"),
)

CLUSTER_DASHBOARD = dashboard(
    CLUSTER,
    "Clúster",
    "Los nodos, HDFS y YARN de un vistazo.",
    firing('job=~"node|hdfs|yarn"'),
    row(
        5,
        DAEMONS_PANEL,
        stat(
            "HDFS Ocupado",
            "Parte de HDFS que no está libre.",
            "percentunit",
            query(HDFS_USED, "HDFS"),
            field=_worse(0.75, 0.85),
        ),
        stat(
            "Memoria de YARN",
            "Parte de la memoria repartida; llena es bien usada.",
            "percentunit",
            query(MEMORY_SHARE, "Memoria"),
        ),
        stat(
            "Bloques Perdidos",
            "Bloques que nadie puede leer.",
            "none",
            query(_hdfs("missing_blocks"), "Bloques"),
            field=_worse(1, 1),
        ),
        widths=(9, 5, 5, 5),
    ),
    row(9, linked(CPU_PANEL, NODES), linked(FULLEST_PANEL, NODES), linked(CAPACITY_PANEL, HDFS)),
    row(9, linked(APPLICATIONS_PANEL, YARN), linked(STATES_PANEL, YARN), linked(BLOCKS_PANEL, HDFS)),
)

HDFS_DASHBOARD = dashboard(
    HDFS,
    "HDFS",
    "El sistema de ficheros del clúster: sitio, bloques, DataNodes y NameNode.",
    firing('job="hdfs"'),
    row(
        5,
        _number("HDFS Ocupado", "Parte de HDFS que no está libre.", "percentunit", HDFS_USED, field=_worse(0.75, 0.85)),
        _number("DataNodes Vivos", "DataNodes que dan señales.", "none", _hdfs("num_live_data_nodes")),
        _number("Ficheros", "Ficheros y carpetas de HDFS.", "none", _hdfs("files_total")),
        _number(
            "Bloques Perdidos",
            "Bloques que nadie puede leer.",
            "none",
            _hdfs("missing_blocks"),
            field=_worse(1, 1),
        ),
    ),
    row(
        9,
        CAPACITY_PANEL,
        timeseries(
            "DataNodes",
            "DataNodes vivos, muertos, callados y retirándose.",
            "none",
            query(_hdfs("num_live_data_nodes"), "vivos"),
            query(_hdfs("num_dead_data_nodes"), "muertos"),
            query(_hdfs("stale_data_nodes"), "callados"),
            query(_hdfs("num_decommissioning_data_nodes"), "retirándose"),
        ),
        BLOCKS_PANEL,
    ),
    row(
        9,
        timeseries(
            "DataNodes: Ocupado",
            "Parte ocupada de cada DataNode.",
            "percentunit",
            query(f"{DATANODE}_dfs_used / {DATANODE}_capacity", "{{instance}}"),
        ),
        timeseries(
            "Bytes Leídos",
            "Lo que cada DataNode lee para otros.",
            "binBps",
            query("rate(datanode_bytes_read[5m])", "{{instance}}"),
        ),
        timeseries(
            "Bytes Escritos",
            "Lo que cada DataNode escribe.",
            "binBps",
            query("rate(datanode_bytes_written[5m])", "{{instance}}"),
        ),
    ),
    collapsed(
        "NameNode y memoria",
        row(
            9,
            timeseries(
                "Operaciones del NameNode",
                "Ficheros que se crean, abren o borran.",
                "suffix:ops/min",
                query("rate(namenode_total_file_ops[5m]) * 60", "{{instance}}"),
            ),
            timeseries(
                "Espera en el NameNode",
                "Lo que espera y lo que tarda una llamada de un cliente.",
                "s",
                query('rpc_rpc_queue_time_avg_time{servername="ClientNamenodeProtocol"} / 1000', "espera {{instance}}"),
                query(
                    'rpc_rpc_processing_time_avg_time{servername="ClientNamenodeProtocol"} / 1000', "tarda {{instance}}"
                ),
            ),
            timeseries(
                "Heap de HDFS",
                "Parte ocupada del heap de cada demonio.",
                "percentunit",
                query(_heap("hdfs"), "{{component}} {{instance}}"),
            ),
        ),
    ),
)

YARN_DASHBOARD = dashboard(
    YARN,
    "YARN",
    "El reparto de los recursos del clúster: colas, aplicaciones y NodeManagers.",
    firing('job="yarn"'),
    row(
        5,
        _number(
            "Memoria Repartida", "Parte de la memoria repartida; llena es bien usada.", "percentunit", MEMORY_SHARE
        ),
        _number("Núcleos Repartidos", "Parte de los núcleos repartidos.", "percentunit", CORES_SHARE),
        _number(
            "Esperan",
            "Aplicaciones que esperan recursos.",
            "none",
            _yarn("apps_pending"),
            field=_worse(1, 10),
        ),
        _number(
            "Nodos no Sanos",
            "Nodos a los que YARN no da nada.",
            "none",
            "sum(cluster_metrics_num_unhealthy_n_ms)",
            field=_worse(1, 1),
        ),
    ),
    row(
        9,
        timeseries(
            "Memoria por Cola",
            "Memoria repartida en cada cola, la que se pide y la que queda.",
            "bytes",
            query('1048576 * sum by (queue) (queue_metrics_allocated_mb{queue!="root"})', "{{queue}}"),
            query(f"1048576 * {_yarn('pending_mb')}", "se pide"),
            query(f"1048576 * {_yarn('available_mb')}", "queda"),
        ),
        timeseries(
            "Núcleos",
            "Núcleos repartidos, libres y pedidos.",
            "none",
            query(_yarn("allocated_v_cores"), "repartidos"),
            query(_yarn("available_v_cores"), "libres"),
            query(_yarn("pending_v_cores"), "pedidos"),
        ),
        timeseries(
            "Contenedores",
            "Contenedores repartidos y los que se piden.",
            "none",
            query(_yarn("allocated_containers"), "repartidos"),
            query(_yarn("pending_containers"), "se piden"),
        ),
    ),
    row(
        9,
        APPLICATIONS_PANEL,
        timeseries(
            "Aplicaciones Terminadas",
            "Las que acaban bien y las que fallan, por minuto.",
            "suffix:apps/min",
            query(f"sum(rate(queue_metrics_apps_completed{ROOT}[5m])) * 60", "bien"),
            query(f"sum(rate(queue_metrics_apps_failed{ROOT}[5m])) * 60", "fallan"),
        ),
        STATES_PANEL,
    ),
    collapsed(
        "NodeManagers y memoria",
        row(
            9,
            timeseries(
                "Memoria por Nodo",
                "Parte repartida de cada nodo.",
                "percentunit",
                query(
                    "node_manager_metrics_allocated_gb / "
                    "(node_manager_metrics_allocated_gb + node_manager_metrics_available_gb)",
                    "{{instance}}",
                ),
            ),
            timeseries(
                "Carpetas Inservibles",
                "Carpetas llenas o rotas de cada NodeManager.",
                "none",
                query("node_manager_metrics_bad_local_dirs + node_manager_metrics_bad_log_dirs", "{{instance}}"),
            ),
            timeseries(
                "Heap de YARN",
                "Parte ocupada del heap de cada demonio.",
                "percentunit",
                query(_heap("yarn"), "{{component}} {{instance}}"),
            ),
        ),
    ),
)


def _on(metric: str, *matchers: str) -> str:
    """Return the selector of a metric of the chosen nodes."""
    return _selected(metric, CHOSEN, *matchers)


CPU_NOT_IDLE = _on("node_cpu_seconds_total", 'mode!="idle"')
FAILED_UNITS = _on("node_systemd_unit_state", 'state="failed"')
RECEIVED = _on("node_network_receive_bytes_total", 'device!="lo"')
SENT = _on("node_network_transmit_bytes_total", 'device!="lo"')
NODES_DASHBOARD = dashboard(
    NODES,
    "Nodos",
    "Cada nodo por dentro: CPU, memoria, discos, red y servicios.",
    firing('job="node"'),
    row(
        5,
        _number(
            "CPU Ocupada",
            "Parte de la CPU que trabaja.",
            "percentunit",
            _busy(CHOSEN),
            legend="{{instance}}",
            field=_worse(0.8, 0.95),
        ),
        _number(
            "Disco más Lleno",
            "Parte ocupada del disco más lleno.",
            "percentunit",
            _fullest(CHOSEN),
            legend="{{instance}}",
            field=_worse(0.75, 0.85),
        ),
        _number(
            "Servicios Fallados",
            "Servicios que systemd da por fallados.",
            "none",
            f"sum by (instance) ({FAILED_UNITS})",
            legend="{{instance}}",
            field=_worse(1, 1),
        ),
    ),
    row(
        9,
        timeseries(
            "CPU por Uso",
            "Parte de la CPU en cada uso.",
            "percentunit",
            query(f"avg by (instance, mode) (rate({CPU_NOT_IDLE}[5m]))", "{{mode}} {{instance}}"),
        ),
        timeseries(
            "Carga por Núcleo",
            "Procesos que corren o esperan, por núcleo: más de 1 es cola.",
            "none",
            query(
                f"{_on('node_load5')} / on (instance, cluster) "
                'count by (instance, cluster) (node_cpu_seconds_total{mode="idle"})',
                "{{instance}}",
            ),
        ),
        timeseries(
            "Memoria Ocupada",
            "Parte de la memoria que no se puede dar a nadie más.",
            "percentunit",
            query(f"1 - {_on('node_memory_MemAvailable_bytes')} / node_memory_MemTotal_bytes", "{{instance}}"),
        ),
    ),
    row(
        9,
        timeseries(
            "Discos Ocupados",
            "Parte ocupada de cada disco.",
            "percentunit",
            query(
                f"1 - {_on('node_filesystem_avail_bytes', DISKS)} / node_filesystem_size_bytes",
                "{{mountpoint}} {{instance}}",
            ),
        ),
        timeseries(
            "Discos en Uso",
            "Parte del tiempo en que cada disco trabaja.",
            "percentunit",
            query(f"rate({_on('node_disk_io_time_seconds_total')}[5m])", "{{device}} {{instance}}"),
        ),
        timeseries(
            "Red",
            "Lo que entra y sale de cada nodo.",
            "binBps",
            query(f"sum by (instance) (rate({RECEIVED}[5m]))", "entra {{instance}}"),
            query(f"sum by (instance) (rate({SENT}[5m]))", "sale {{instance}}"),
        ),
    ),
    collapsed(
        "Esperas y servicios",
        row(
            9,
            timeseries(
                "Espera por Falta",
                "Parte del tiempo en que algo espera CPU, memoria o disco.",
                "percentunit",
                query(f"rate({_on('node_pressure_cpu_waiting_seconds_total')}[5m])", "CPU {{instance}}"),
                query(f"rate({_on('node_pressure_memory_waiting_seconds_total')}[5m])", "memoria {{instance}}"),
                query(f"rate({_on('node_pressure_io_waiting_seconds_total')}[5m])", "disco {{instance}}"),
            ),
            states(
                "Servicios de EMR",
                "Los servicios de cada nodo: los de EMR, la monitorización y el pipeline.",
                query(f"max by (name, instance) ({FAILED_UNITS})", "{{name}} {{instance}}"),
                {"mappings": [mapped(_0=("BIEN", "green"), _1=("FALLADO", "red"))]},
            ),
        ),
    ),
)
NODES_DASHBOARD["templating"]["list"].append(
    {
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": DATASOURCE,
        "definition": 'label_values(up{job="node"}, instance)',
        "hide": 0,
        "includeAll": True,
        "label": "Nodo",
        "multi": True,
        "name": "nodo",
        "options": [],
        "query": {"qryType": 1, "query": 'label_values(up{job="node"}, instance)', "refId": "nodo"},
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
        "type": "query",
    }
)
DASHBOARDS = (CLUSTER_DASHBOARD, HDFS_DASHBOARD, YARN_DASHBOARD, NODES_DASHBOARD)
