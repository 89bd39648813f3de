import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'

/** What a process can see of the container that it runs in. */
export interface Surroundings {
  readonly hostname: string
  /** `/proc/self/mountinfo` */
  readonly mounts: string
  /** `/proc/self/cgroup` */
  readonly cgroups: string
}

export const readSurroundings = (): Surroundings => ({
  hostname: hostname(),
  mounts: readOrEmpty('/proc/self/mountinfo'),
  cgroups: readOrEmpty('/proc/self/cgroup'),
})

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

const ID = /[0-9a-f]{64}/

/**
 * What our own container's id may be, the surest first: engines mount `/etc/hostname` from a folder named after it, old
 * cgroups are named after it, and the host name is its first 12 digits unless somebody chose another.
 */
export function ownContainerIds({ hostname, mounts, cgroups }: Surroundings): string[] {
  const mounted = mounts
    .split('\n')
    .map((line) => line.split(' '))
    .filter((words) => words[4] === '/etc/hostname' || words[4] === '/etc/resolv.conf')
    .map((words) => ID.exec(words[3] ?? '')?.[0])
  const grouped = cgroups.split('\n').map((line) => /(?:docker|libpod|containers)[/-][^\n]*/.exec(line)?.[0])
  const named = /^[0-9a-f]{12}$/.test(hostname) ? hostname : undefined
  const found = [...mounted, ...grouped.map((path) => path && ID.exec(path)?.[0]), named]
  return [...new Set(found.filter((id) => id !== undefined && id !== ''))] as string[]
}
