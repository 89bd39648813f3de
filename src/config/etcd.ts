import { group, setting } from './setting.js'
import { domain, duration, list, text } from './values.js'

/** Settings of etcd, as a registry and as a source. */
export const etcdSettings = group({
  endpoints: setting(
    list(),
    'http://127.0.0.1:2379',
    'ETCD_ENDPOINT ETCD_ENDPOINTS ETCDCTL_ENDPOINTS',
    'etcd servers of one cluster, comma list of `http://HOST:PORT` or `https://HOST:PORT`.',
  ),
  ca: setting(text(), '', 'ETCD_CACERT ETCDCTL_CACERT', "File with the certificates by which etcd's is judged, PEM."),
  cert: setting(text(), '', 'ETCD_CERT ETCDCTL_CERT', 'File with our certificate for etcd, PEM.'),
  key: setting(text(), '', 'ETCD_KEY ETCDCTL_KEY', 'File with the key of that certificate, PEM.'),
  username: setting(text(), '', 'ETCD_USERNAME', 'User of etcd.'),
  password: setting(text(), '', 'ETCD_PASSWORD', 'Password of that user.', true),
  prefix: setting(
    text(),
    '/hostler',
    'HOSTLER_ETCD_PREFIX',
    'Where Hostler keeps its own keys: claims, and the instances that the `hostler` policy announces.',
  ),
  lease: setting(
    duration(),
    '30s',
    'HOSTLER_ETCD_LEASE',
    'How long what was announced outlives a process that was killed; refreshed at half. The same for every process of a cluster. 0: for ever, until a process of the same name takes it back that has none either.',
  ),
})

export const skydnsSettings = group({
  domain: setting(
    domain(),
    'skydns.local',
    'SKYDNS_DOMAIN',
    'The domain of the names that the `skydns` policy writes.',
  ),
  network: setting(
    text(),
    '',
    'SKYDNS_NETWORK',
    'The Docker network whose address it writes. Empty: the first one by name that has an address.',
  ),
})
