import { basename } from 'node:path'
import { HostlerError } from '../errors.js'
import type { Endpoint } from './endpoint.js'

/**
 * One name per endpoint: `docker` for a single one, else `docker@HOST` or `docker@FILE`, longer where that is not unique.
 * @throws HostlerError `CONFIG` when an endpoint is named twice.
 */
export function sourceNames(endpoints: readonly Endpoint[]): string[] {
  if (endpoints.length === 1) return ['docker']
  const full = endpoints.map((endpoint) => `docker@${longName(endpoint)}`)
  const twice = endpoints.find((_, index) => full.indexOf(full[index] ?? '') !== index)
  if (twice) throw new HostlerError('CONFIG', `docker.hosts: "${twice.text}" is named twice; name each endpoint once`)
  const short = endpoints.map((endpoint) => `docker@${shortName(endpoint)}`)
  const isUnique = (name: string) => short.indexOf(name) === short.lastIndexOf(name)
  return short.map((name, index) => (isUnique(name) ? name : (full[index] ?? name)))
}

const shortName = (endpoint: Endpoint): string => (endpoint.kind === 'unix' ? basename(endpoint.path) : endpoint.host)

const longName = (endpoint: Endpoint): string =>
  endpoint.kind === 'unix' ? endpoint.path : `${endpoint.host}:${endpoint.port}`
