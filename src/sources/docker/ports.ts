import { type Fields, fields, items, portNumber, string } from '../../lib/docker/fields.js'
import type { Binding, ContainerPort } from './container.js'

/** `Ports` of a list entry: `[{ IP, PrivatePort, PublicPort, Type }]`. */
export function listedPorts(value: unknown, up: boolean): ContainerPort[] {
  const found: PortMap = new Map()
  for (const entry of items(value).map(fields)) {
    const port = portNumber(entry['PrivatePort'])
    if (port === undefined || (entry['Type'] ?? 'tcp') !== 'tcp') continue
    add(found, port, up ? binding(entry['IP'], entry['PublicPort']) : undefined)
  }
  return sorted(found)
}

/** Everything in an inspect answer that names a port; the listeners are in `NetworkSettings.Ports`. */
export function inspectedPorts(answer: Fields, up: boolean): ContainerPort[] {
  const found: PortMap = new Map()
  const declared = [fields(answer['Config'])['ExposedPorts'], fields(answer['HostConfig'])['PortBindings']]
  for (const key of declared.flatMap((value) => Object.keys(fields(value)))) add(found, tcpPort(key))
  for (const [key, bindings] of Object.entries(fields(fields(answer['NetworkSettings'])['Ports']))) {
    add(found, tcpPort(key))
    if (!up) continue
    for (const entry of items(bindings).map(fields))
      add(found, tcpPort(key), binding(entry['HostIp'], entry['HostPort']))
  }
  return sorted(found)
}

type PortMap = Map<number, Binding[]>

function add(found: PortMap, port: number | undefined, listener?: Binding): void {
  if (port === undefined) return
  const bindings = found.get(port) ?? []
  found.set(port, bindings)
  if (!listener || bindings.some((one) => one.address === listener.address && one.port === listener.port)) return
  bindings.push(listener)
}

/** `80/tcp` or `80`. */
function tcpPort(key: string): number | undefined {
  const [port, protocol = 'tcp'] = key.split('/')
  return protocol === 'tcp' ? portNumber(port) : undefined
}

const EVERYWHERE = new Set(['', '0.0.0.0', '::'])

function binding(ip: unknown, hostPort: unknown): Binding | undefined {
  const port = portNumber(hostPort)
  return port === undefined ? undefined : { address: EVERYWHERE.has(string(ip)) ? '' : string(ip), port }
}

/** In one order, whichever the engine chose: the list and an inspect answer differ in it. */
const sorted = (found: PortMap): ContainerPort[] =>
  [...found.entries()]
    .sort(([a], [b]) => a - b)
    .map(([port, bindings]) => ({ port, bindings: bindings.sort(byAddress) }))

const byAddress = (a: Binding, b: Binding): number =>
  a.address === b.address ? a.port - b.port : a.address < b.address ? -1 : 1
