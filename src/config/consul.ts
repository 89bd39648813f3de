import { group, setting } from './setting.js'
import { bool, duration, text } from './values.js'

/** Settings of Consul, as a registry and as a source; where Consul's own programs have a variable, it is that one. */
export const consulSettings = group({
  url: setting(
    text(),
    'http://127.0.0.1:8500',
    'CONSUL_HTTP_ADDR',
    "Consul's agent, `host:port`, `http://…`, `https://…` or `unix://PATH`. As a registry it may hold placeholders: `http://%HOST%:8500` is the agent on the host of each endpoint.",
  ),
  token: setting(text(), '', 'CONSUL_HTTP_TOKEN', 'The token for that agent.', true),
  ssl: setting(bool(), false, 'CONSUL_HTTP_SSL', 'Speak TLS to an address without `http://` or `https://`.'),
  verify: setting(bool(), true, 'CONSUL_HTTP_SSL_VERIFY', "Look at the certificate of Consul's server."),
  ca: setting(text(), '', 'CONSUL_CACERT', 'File with the certificates by which it is judged, PEM.'),
  cert: setting(text(), '', 'CONSUL_CLIENT_CERT', 'File with our certificate for Consul, PEM.'),
  key: setting(text(), '', 'CONSUL_CLIENT_KEY', 'File with the key of that certificate, PEM.'),
  serverName: setting(
    text(),
    '',
    'CONSUL_TLS_SERVER_NAME',
    "The name that the server's certificate must hold. Empty: the one in the address.",
  ),
  idSchema: setting(
    text(),
    '%NAME%_%HOST%_%PORT%',
    'HOSTLER_CONSUL_ID_SCHEMA',
    'The id of a service in Consul; it must differ for each endpoint.',
  ),
  nameScheme: setting(
    text(),
    '%NAME%',
    'HOSTLER_CONSUL_NAME_SCHEME',
    'The name of a service whose container has a `rancon` label but no `rancon.name`.',
  ),
  cleanupId: setting(
    text(),
    'default',
    'HOSTLER_CONSUL_CLEANUP_ID',
    'Entries carry the tag `rancon-cleanup-id-` with this, and those that carry it and are not asked for any more are taken back.',
  ),
  tag: setting(
    text(),
    'hostler',
    'HOSTLER_CONSUL_TAG',
    'The tag of the services that the `consul` source reads, and of those that are announced to it.',
  ),
  lease: setting(
    duration(),
    '30s',
    'HOSTLER_CONSUL_LEASE',
    'How long what was announced stays healthy when the process that announced it was killed; refreshed at half. `0`: for ever.',
  ),
})
