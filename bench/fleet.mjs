// Imaginary containers: one stack each, with the labels that docker compose writes.

export const DOMAIN = 'ci.example.com'
export const nameOf = (index) => `app-r${index}`
export const hostOf = (index) => `${nameOf(index)}.${DOMAIN}`
export const addressOf = (index) => `10.${20 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`

const pad = (text, length) => text.padEnd(length, '0').slice(0, length)
export const idOf = (index) => pad(`${index.toString(16).padStart(8, '0')}c0ffee`, 64)

export const labelsOf = (index) => ({
  'com.docker.compose.config-hash': pad(index.toString(16), 64),
  'com.docker.compose.container-number': '1',
  'com.docker.compose.depends_on': '',
  'com.docker.compose.image': `sha256:${pad('1a2b3c', 64)}`,
  'com.docker.compose.oneoff': 'False',
  'com.docker.compose.project': nameOf(index),
  'com.docker.compose.project.config_files': `/srv/ci/${nameOf(index)}/compose.yml`,
  'com.docker.compose.project.working_dir': `/srv/ci/${nameOf(index)}`,
  'com.docker.compose.service': 'web',
  'com.docker.compose.version': '2.29.7',
  'hostler.port': '8080',
})

/** The text of an instances file; `entryOf` may change an entry. One a line, as a script would write it. */
export function instancesFile(count, entryOf = (entry) => entry) {
  const entries = Array.from({ length: count }, (_, index) => entryOf(fileEntry(index), index))
  return `instances:\n${entries.map((entry) => `  - ${JSON.stringify(entry)}\n`).join('')}`
}

const fileEntry = (index) => ({
  name: `${nameOf(index)}-web-1`,
  stack: nameOf(index),
  service: 'web',
  address: addressOf(index),
  labels: { 'hostler.port': '8080' },
})

const CREATED = 1_790_000_000

const network = (index) => ({
  ...{ IPAMConfig: null, Links: null, Aliases: null, DriverOpts: null, GwPriority: 0 },
  ...{ NetworkID: pad('ab12', 64), EndpointID: pad(`${index.toString(16)}e`, 64), Gateway: '10.20.0.1' },
  ...{ IPAddress: addressOf(index), MacAddress: '02:42:0a:14:00:02', IPPrefixLen: 8, IPv6Gateway: '' },
  ...{ GlobalIPv6Address: '', GlobalIPv6PrefixLen: 0, DNSNames: null },
})

/** An entry of `/containers/json`, with every field that Docker 28 gives. */
export const listEntry = (index, health) => ({
  Id: idOf(index),
  Names: [`/${nameOf(index)}-web-1`],
  Image: `registry.example.com/ci/app:r${index}`,
  ImageID: `sha256:${pad('1a2b3c', 64)}`,
  Command: '/usr/local/bin/app serve --listen 0.0.0.0:8080',
  Created: CREATED + index,
  Ports: [{ PrivatePort: 8080, Type: 'tcp' }],
  Labels: labelsOf(index),
  State: 'running',
  Status: `Up 2 hours (${health})`,
  HostConfig: { NetworkMode: 'ci_apps' },
  NetworkSettings: { Networks: { ci_apps: network(index) } },
  Mounts: [],
})

/** What `/containers/ID/json` says of the same, as far as anybody reads it. */
export const inspectAnswer = (index, health) => ({
  Id: idOf(index),
  Created: new Date((CREATED + index) * 1000).toISOString(),
  Name: `/${nameOf(index)}-web-1`,
  State: { Status: 'running', Running: true, Health: { Status: health, FailingStreak: 0, Log: [] } },
  HostConfig: { NetworkMode: 'ci_apps', PortBindings: {} },
  Config: { Labels: labelsOf(index), ExposedPorts: { '8080/tcp': {} } },
  NetworkSettings: { Ports: { '8080/tcp': null }, Networks: { ci_apps: network(index) } },
})
