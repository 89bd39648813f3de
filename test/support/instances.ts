import type { Instance } from '../../src/model/instance.js'
import type { LabelRules } from '../../src/model/wishes.js'

export const rules: LabelRules = {
  domain: 'ci.example.com',
  hostTemplate: '%STACK%.%DOMAIN%',
  labelPrefix: 'hostler',
  portLabel: 'map-public-http',
  proxyLabel: 'send-proxy',
  sleep: { holds: true, sources: ['test'], wake: false, idleMs: 1_800_000, onIdle: 'stop' },
  direct: {
    cookieRouting: false,
    pathRouting: false,
    cookieKey: 'instance',
    containerPrefix: '',
    checkStatus: '200,300-399',
    patienceMs: 90_000,
  },
}

let age = 0

/** A live instance in one network, younger than every one made before it. Labels may leave out the prefix. */
export function instance(name: string, labels: Record<string, string> = {}, over: Partial<Instance> = {}): Instance {
  age += 1000
  return {
    id: name,
    source: 'test',
    name,
    labels: Object.fromEntries(Object.entries(labels).map(([key, value]) => [withPrefix(key), value])),
    state: 'running',
    health: 'none',
    createdAt: age,
    networks: [{ name: 'web', address: '10.0.0.1', shared: false }],
    ports: [],
    ...over,
  }
}

const withPrefix = (label: string): string =>
  /^(hostler|com|io|map|send|origin)\b/.test(label) ? label : `hostler.${label}`
