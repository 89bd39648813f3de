import { createHash } from 'node:crypto'
import type { Instance } from './instance.js'

/** Labels in which orchestrators leave the names of stack and service, the first one present wins. */
const STACK_LABELS = ['com.docker.compose.project', 'com.docker.stack.namespace', 'io.rancher.stack.name']
const SERVICE_LABELS = ['com.docker.compose.service', 'com.docker.swarm.service.name']
const RANCHER_STACK_SERVICE = 'io.rancher.stack_service.name'

/** Stack and service as the source or the orchestrator's labels have them; the container's own name where neither does. */
export function namesOf({ labels, name, stack, service }: Instance): { stack: string; service: string } {
  const rancherService = labels[RANCHER_STACK_SERVICE]?.split('/').at(-1)
  return {
    stack: stack ?? firstOf(labels, STACK_LABELS) ?? name,
    service: service ?? firstOf(labels, SERVICE_LABELS) ?? (rancherService || name),
  }
}

/** Names of stacks are unique within an environment only; what stands before the slash cannot be in any name. */
export const stackIdentity = (stack: string, { environment }: Pick<Instance, 'environment'>): string =>
  environment === undefined ? stack : `${environment}/${stack}`

function firstOf(labels: Readonly<Record<string, string>>, names: readonly string[]): string | undefined {
  return names.map((name) => labels[name]).find((value) => value !== undefined && value !== '')
}

/** A name as part of a hostname: lower case, anything but letters, digits, `-`, `_` and dots becomes `-`. */
export const hostLabel = (name: string): string => trimmed(name.toLowerCase().replace(/[^a-z0-9_.-]+/g, '-'))

/** A name as HAProxy and Traefik take it for a backend or server: case kept, anything else becomes `-`. */
export const slug = (name: string): string =>
  SLUG.test(name) ? name : trimmed(name.replace(/[^A-Za-z0-9_.-]+/g, '-')).slice(0, 100) || 'unnamed'

/** Most names are fit already. */
const SLUG = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,98}[A-Za-z0-9_])?$/

const trimmed = (name: string): string => name.replace(/^[-.]+|[-.]+$/g, '')

/** Names of our own sections in HAProxy's configuration, which no stack may take. */
export const RESERVED_BACKENDS: ReadonlySet<string> = new Set([
  'be_sorry',
  'stats',
  'hostler',
  'http',
  'https',
  'www',
  'www-https',
  'hostler_public',
])

/** Backends that are loaded ahead of need. */
const RESERVED_PREFIX = 'hostler_spare_'

/** Hands out unique names: a taken one gets a suffix that depends only on what it stands for, not on the order. */
export class NameBook {
  private readonly taken: Set<string>
  constructor(reserved: Iterable<string> = []) {
    this.taken = new Set(reserved)
  }

  /** @param identity what the name stands for, unique */
  take(wanted: string, identity: string): string {
    let name = slug(wanted)
    // Digits of a hash, so that the name does not depend on who else came first.
    for (let digits = 6; this.taken.has(name) || name.startsWith(RESERVED_PREFIX); digits++) {
      name = `${slug(wanted).replace(RESERVED_PREFIX, 'spare_')}-${createHash('sha256').update(identity).digest('hex').slice(0, digits)}`
    }
    this.taken.add(name)
    return name
  }
}
