import { isDeepStrictEqual } from 'node:util'
import type { ExposedPort, Instance, NetworkAddress } from '../../model/instance.js'
import type { Binding, Container, ContainerAddress, ContainerPort } from './container.js'

/** Whether two facts about one container say the same. */
export function sameInstance(a: Instance, b: Instance): boolean {
  return (
    a.state === b.state &&
    a.health === b.health &&
    a.name === b.name &&
    a.createdAt === b.createdAt &&
    sameList(a.networks, b.networks, sameNetwork) &&
    sameList(a.ports, b.ports, samePort) &&
    sameLabels(a.labels, b.labels) &&
    (a.inspect === b.inspect || isDeepStrictEqual(a.inspect, b.inspect))
  )
}

function sameList<T>(a: readonly T[], b: readonly T[], same: (a: T, b: T) => boolean): boolean {
  return a.length === b.length && a.every((item, index) => same(item, b[index] as T))
}

const sameNetwork = (a: NetworkAddress, b: NetworkAddress): boolean =>
  a.name === b.name && a.address === b.address && a.shared === b.shared

const samePort = (a: ExposedPort, b: ExposedPort): boolean =>
  a.port === b.port && a.published?.port === b.published?.port && a.published?.address === b.published?.address

function sameLabels(a: Instance['labels'], b: Instance['labels']): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && a[name] === b[name])
}

/** The same for what the engine says of it, how it stops aside; ten thousand are compared on every full pass. */
export function sameContainer(a: Container, b: Container): boolean {
  return (
    a.state === b.state &&
    a.health === b.health &&
    a.name === b.name &&
    a.createdAt === b.createdAt &&
    a.networkMode === b.networkMode &&
    a.complete === b.complete &&
    a.inspect === b.inspect &&
    sameList(a.addresses, b.addresses, sameAddress) &&
    sameList(a.ports, b.ports, sameContainerPort) &&
    sameLabels(a.labels, b.labels)
  )
}

const sameAddress = (a: ContainerAddress, b: ContainerAddress): boolean =>
  a.network === b.network && a.address === b.address && a.gateway === b.gateway

const sameContainerPort = (a: ContainerPort, b: ContainerPort): boolean =>
  a.port === b.port && sameList(a.bindings, b.bindings, sameBinding)

const sameBinding = (a: Binding, b: Binding): boolean => a.address === b.address && a.port === b.port
