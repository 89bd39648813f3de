import { z } from 'zod'
import { PROXY_NAMES } from '../proxies/names.js'
import { SOURCE_NAMES } from '../sources/names.js'
import { announceSettings, policiesSetting, registriesSetting, servicesSetting } from './announce.js'
import { consulSettings } from './consul.js'
import { deploySettings } from './deploy.js'
import { directSettings } from './direct.js'
import { etcdSettings, skydnsSettings } from './etcd.js'
import { publicSettings, readinessSettings, sleepSettings, wakeSettings } from './lifecycle.js'
import { rancherSettings } from './rancher.js'
import { group, setting } from './setting.js'
import { bool, domain, duration, integer, list, listen, listOf, oneOf, port, text, url } from './values.js'

const HAPROXY_DIR = '/usr/local/etc/haproxy'

/** The one schema of every setting: the key in `hostler.yml`, its environment variables, its default. */
export const settingsSchema = z.strictObject({
  sources: setting(
    listOf(...SOURCE_NAMES),
    'docker',
    'HOSTLER_SOURCES',
    `Where facts come from, comma list of ${SOURCE_NAMES.map((name) => `\`${name}\``).join(', ')}.`,
  ),
  proxy: setting(
    listOf(...PROXY_NAMES, 'none'),
    'haproxy',
    'HOSTLER_PROXY',
    'The proxies to configure, comma list of `haproxy` and `traefik`; `none` for none.',
  ),
  registries: registriesSetting,
  policies: policiesSetting,
  services: servicesSetting,
  domain: setting(
    domain(),
    '',
    'HOSTLER_DOMAIN STACK_DOMAIN',
    'The domain under which every stack gets its name. Required wherever routes are planned; a process that only announces needs none, except for the policy `traefik`.',
  ),
  hostTemplate: setting(
    text(),
    '%STACK%.%DOMAIN%',
    'HOSTLER_HOST_TEMPLATE',
    'The hostname of a route that names none; placeholders `%STACK%` `%SERVICE%` `%NAME%` `%DOMAIN%`, and `%ENVIRONMENT%` of Rancher.',
  ),
  labelPrefix: setting(text(), 'hostler', 'HOSTLER_LABEL_PREFIX', 'First word of our labels.'),
  portLabel: setting(
    text(),
    'map-public-http',
    'HOSTLER_PORT_LABEL RANCHER_LABEL',
    'A label whose value is the port to route to; a container that has it takes part.',
  ),
  proxyLabel: setting(
    text(),
    'send-proxy',
    'HOSTLER_PROXY_LABEL RANCHER_PROXY_LABEL',
    "A label whose value is added to the container's server line, e.g. `send-proxy-v2`.",
  ),
  pollInterval: setting(
    duration(100),
    '10s',
    'HOSTLER_POLL_INTERVAL POLL_INTERVAL',
    'How often everything is read anew, whatever events say.',
  ),
  templates: setting(
    text(),
    '',
    'HOSTLER_TEMPLATES',
    'A folder laid over the packaged templates: same names replace, new names add.',
  ),
  stateDir: setting(
    text(),
    '/var/lib/hostler',
    'HOSTLER_STATE_DIR',
    'Where Hostler keeps what must survive a restart.',
  ),
  file: group({
    path: setting(text(), 'stacks.yml', 'HOSTLER_FILE', 'The list of instances that the `file` source reads.'),
  }),
  docker: group({
    hosts: setting(
      list(),
      'unix:///var/run/docker.sock',
      'DOCKER_HOST',
      'Docker or Podman endpoints, comma list of `unix://PATH` and `tcp://HOST:PORT`.',
    ),
    tlsVerify: setting(bool(), false, 'DOCKER_TLS_VERIFY', 'Speak TLS to tcp endpoints and verify them.'),
    certPath: setting(text(), '', 'DOCKER_CERT_PATH', 'Folder with `ca.pem`, `cert.pem` and `key.pem` for TLS.'),
    reach: setting(
      oneOf('auto', 'network', 'published'),
      'auto',
      'HOSTLER_DOCKER_REACH',
      'How the proxy reaches containers: by their network address, or by their published port. `auto`: network for a local socket, published for tcp.',
    ),
    address: setting(
      text(),
      '',
      'HOSTLER_DOCKER_ADDRESS',
      "The Docker host's own address, for published ports and host networking. Default: `announce.address`; else the tcp endpoint's host; else the gateway of our own container's network; else 127.0.0.1.",
    ),
    proxyContainer: setting(
      text(),
      '',
      'HOSTLER_DOCKER_PROXY_CONTAINER',
      'The container whose networks the proxy shares. Default: the HAProxy container if one is set, else our own.',
    ),
  }),
  metadata: group({
    host: setting(
      text(),
      'rancher-metadata.rancher.internal',
      'RANCHER_API_HOST',
      'Rancher metadata service, host or host:port.',
    ),
    version: setting(
      text(),
      '2015-12-19',
      'RANCHER_API_VERSION',
      'Metadata version: 2015-07-25, 2015-12-19, 2016-07-29 or latest.',
    ),
    disabled: setting(
      bool(),
      false,
      'DISABLE_METADATA',
      'Never ask the metadata service for certificates or the syslog host.',
    ),
  }),
  rancher: rancherSettings,
  http: group({
    bind: setting(text(), '', 'HOSTLER_BIND', 'The address that the rendered frontends bind; empty for every one.'),
    port: setting(port(), 80, 'HOSTLER_HTTP_PORT', 'The HTTP port that the rendered frontends bind.'),
  }),
  https: group({
    enabled: setting(bool(), false, 'HOSTLER_HTTPS ENABLE_SSL', 'Serve HTTPS too.'),
    port: setting(port(), 443, 'HOSTLER_HTTPS_PORT', 'The HTTPS port that the rendered frontends bind.'),
    redirect: setting(bool(), false, 'HOSTLER_HTTPS_REDIRECT ENABLE_SSL_REDIRECTION', 'Redirect HTTP to HTTPS.'),
    redirectCode: setting(
      oneOf('301', '302', '303', '307', '308').transform(Number),
      '301',
      'HOSTLER_HTTPS_REDIRECT_CODE SSL_REDIRECTION_TYPE',
      'The status code of that redirect: 301, 302, 303, 307 or 308.',
    ),
  }),
  haproxy: group({
    bin: setting(text(), 'haproxy', 'HAPROXY_BIN', 'The HAProxy program.'),
    config: setting(
      text(),
      `${HAPROXY_DIR}/haproxy.cfg`,
      'HAPROXY_CONFIG',
      'The base configuration. One that has frontends of its own is used as it stands, and ours are left out.',
    ),
    backendConfig: setting(
      text(),
      `${HAPROXY_DIR}/haproxy-backends.cfg`,
      'HAPROXY_BACKEND_CONFIG',
      'The rendered backends; the other rendered files lie beside it.',
    ),
    domainMap: setting(
      text(),
      `${HAPROXY_DIR}/domain.map`,
      'HAPROXY_DOMAIN_MAP',
      'The rendered map from hostname to backend.',
    ),
    sslCert: setting(
      text(),
      `${HAPROXY_DIR}/server.pem`,
      'HAPROXY_SSL_CERT',
      'The default certificate and key in one PEM file. Missing: filled from Rancher metadata where that has one.',
    ),
    sslBase64: setting(bool(), false, 'SSL_BASE64_ENCODED', 'The certificate and key in metadata are base64.'),
    certDir: setting(
      text(),
      `${HAPROXY_DIR}/certs`,
      'HOSTLER_CERT_DIR',
      'Folder of more certificates (`*.pem`), chosen by the names in them; `HOST.pem` also serves exactly that host.',
    ),
    masterSocket: setting(
      text(),
      '',
      'HAPROXY_MASTER_SOCKET',
      'Master socket of a HAProxy that runs elsewhere (started with `-W -S PATH`): reloads go there.',
    ),
    container: setting(
      text(),
      '',
      'HAPROXY_CONTAINER',
      'Container of a HAProxy that runs elsewhere: reloads are a signal sent through Docker.',
    ),
    signal: setting(text(), 'SIGUSR2', 'HAPROXY_SIGNAL', 'The signal that reloads the HAProxy in that container.'),
    reloadCommand: setting(
      text(),
      '',
      'HAPROXY_RELOAD_COMMAND',
      'A shell command that reloads HAProxy; exit code 0 means that it took the new configuration.',
    ),
    statsSocket: setting(
      text(),
      '',
      'HAPROXY_STATS_SOCKET',
      "The runtime API's socket. Default: `haproxy-admin.sock` beside the master socket.",
    ),
    runtime: setting(
      bool(),
      true,
      'HAPROXY_RUNTIME',
      'Change the running HAProxy through its runtime API where that gives the same result as a reload.',
    ),
    spareBackends: setting(
      integer(0, 999),
      64,
      'HAPROXY_SPARE_BACKENDS',
      'How many empty backends are loaded ahead of need, so that a new stack needs no reload (HAProxy before 3.4); 0: none.',
    ),
    reloadInterval: setting(duration(), '500ms', 'HAPROXY_RELOAD_INTERVAL', 'The least time between two reloads.'),
    stopTimeout: setting(
      duration(),
      '8s',
      'HAPROXY_STOP_TIMEOUT',
      'How long connections may finish when Hostler stops, before HAProxy is ended.',
    ),
    maxOldWorkers: setting(
      integer(0, 1000),
      50,
      'HAPROXY_MAX_OLD_WORKERS',
      'How many old workers long connections may keep alive after reloads; the oldest is ended, connections and all, when there are more. 0: any number.',
    ),
    hardStopAfter: setting(
      duration(),
      '0s',
      'HAPROXY_HARD_STOP_AFTER',
      'How long connections may keep an old worker alive after a reload, before they are cut; 0: as long as they last.',
    ),
    checkTimeout: setting(
      duration(100),
      '30s',
      'HAPROXY_CHECK_TIMEOUT',
      'How long `haproxy -c` and a reload may take.',
    ),
  }),
  stats: group({
    enabled: setting(bool(), false, 'HOSTLER_STATS ENABLE_STATS', "Serve HAProxy's stats page."),
    port: setting(port(), 1936, 'STATS_PORT', 'Port of the stats page.'),
    username: setting(text(), 'haproxy', 'STATS_USERNAME', 'User of the stats page.'),
    password: setting(text(), 'haproxy', 'STATS_PASSWORD', 'Password of the stats page.', true),
  }),
  syslog: group({
    host: setting(
      text(),
      '',
      'SYSLOG_HOST',
      "Where HAProxy logs. Default with the rancher-metadata source: the host's agent address; else standard output.",
    ),
    facility: setting(text(), 'daemon', 'SYSLOG_FACILITY', 'The syslog facility.'),
  }),
  traefik: group({
    dir: setting(
      text(),
      '/etc/traefik/dynamic',
      'HOSTLER_TRAEFIK_DIR',
      'The folder that Traefik watches; `hostler.yml` goes there.',
    ),
    url: setting(url(), '', 'TRAEFIK_URL', "Traefik's API, to see that a change is in force. Empty: not asked."),
    metrics: setting(
      url(),
      '',
      'HOSTLER_TRAEFIK_METRICS',
      "Traefik's Prometheus metrics, without which no stack is known to be idle. Default: `/metrics` of its API.",
    ),
    entryPoints: setting(
      list(),
      'web',
      'HOSTLER_TRAEFIK_ENTRYPOINTS',
      'Entry points for plain HTTP routers, comma list.',
    ),
    tlsEntryPoints: setting(
      list(),
      'websecure',
      'HOSTLER_TRAEFIK_TLS_ENTRYPOINTS',
      'Entry points for TLS routers, used when HTTPS is on.',
    ),
    certResolver: setting(
      text(),
      '',
      'HOSTLER_TRAEFIK_CERT_RESOLVER',
      'The certificate resolver that TLS routers name.',
    ),
    certDir: setting(
      text(),
      '',
      'HOSTLER_TRAEFIK_CERT_DIR',
      'Folder of certificates that Traefik sees under the same path: `NAME.pem` with its key inside or in `NAME.key`; `default.pem` is for unknown hosts.',
    ),
    applyTimeout: setting(
      duration(100),
      '10s',
      'HOSTLER_TRAEFIK_APPLY_TIMEOUT',
      'How long Traefik may take to show a change.',
    ),
  }),
  public: publicSettings,
  readiness: readinessSettings,
  wake: wakeSettings,
  sleep: sleepSettings,
  deploy: deploySettings,
  direct: directSettings,
  announce: announceSettings,
  etcd: etcdSettings,
  consul: consulSettings,
  skydns: skydnsSettings,
  private: group({
    listen: setting(
      listen(),
      '127.0.0.1:8008',
      'HOSTLER_PRIVATE_LISTEN',
      'Health, readiness, metrics and state. Port 0 picks a free one.',
    ),
    hosts: setting(
      list(),
      '',
      'HOSTLER_PRIVATE_HOSTS',
      'More host names by which clients may call that port, comma list; `*` for any. Addresses, `localhost` and names without a dot always may.',
    ),
  }),
  log: group({
    level: setting(
      oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
      'info',
      'HOSTLER_LOG_LEVEL LOG_LEVEL',
      'How much is logged: trace, debug, info, warn, error, fatal, silent.',
    ),
    format: setting(
      oneOf('auto', 'json', 'text'),
      'auto',
      'HOSTLER_LOG_FORMAT',
      'One JSON object a line, or text for people; auto: text on a terminal.',
    ),
  }),
})

/** Every setting in force, frozen after start. */
export type Settings = z.output<typeof settingsSchema>
