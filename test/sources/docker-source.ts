import { silentLogger } from '../../src/lib/logger.js'
import type { Instance } from '../../src/model/instance.js'
import { createDockerSources, type DockerSourceContext, type DockerSourceSettings } from '../../src/sources/docker.js'
import type { Source } from '../../src/sources/source.js'
import { until } from '../support/wait.js'

/** The settings as the defaults have them, for these endpoints. */
export const dockerSettings = (
  hosts: string | readonly string[],
  docker: Partial<DockerSourceSettings['docker']> = {},
): DockerSourceSettings => ({
  docker: {
    hosts: [hosts].flat() as string[],
    tlsVerify: false,
    certPath: '',
    reach: 'auto',
    address: '',
    proxyContainer: '',
    ...docker,
  },
  isRelevant: (labels) => Object.keys(labels).some((name) => name.startsWith('hostler.')),
})

/** Not in a container, whatever the tests run in. */
const OUTSIDE = { hostname: 'somewhere', mounts: '', cgroups: '' }

/** The one source of one endpoint. */
export function dockerSource(
  host: string,
  docker: Partial<DockerSourceSettings['docker']> = {},
  context: Partial<DockerSourceContext> = {},
): Source {
  const [source] = createDockerSources(dockerSettings(host, docker), {
    log: silentLogger(),
    surroundings: OUTSIDE,
    ...context,
  })
  if (!source) throw new Error('no source was made')
  return source
}

export const list = (source: Source) => source.list(new AbortController().signal)

/** Lists, and picks the one with that name. */
export async function listed(source: Source, name: string): Promise<Instance> {
  const found = (await list(source)).find((instance) => instance.name === name)
  if (!found) throw new Error(`${name} is not listed`)
  return found
}

export interface Followed {
  readonly reports: readonly (readonly Instance[])[]
  readonly failures: readonly unknown[]
  /** The newest report's instance of that name. */
  latest(name: string): Instance | undefined
  /** Waits until the newest report says so of that instance. */
  sees(name: string, what: string, is: (instance: Instance) => boolean): Promise<Instance>
  stop(): Promise<void>
}

/** Watches a source; resolves after its first report. */
export async function follow(source: Source): Promise<Followed> {
  const controller = new AbortController()
  const reports: (readonly Instance[])[] = []
  const failures: unknown[] = []
  const ended = source.watch(
    { report: (instances) => void reports.push(instances), failed: (error) => void failures.push(error) },
    controller.signal,
  )
  const latest = (name: string) => reports.at(-1)?.find((instance) => instance.name === name)
  const stop = async () => {
    controller.abort()
    await ended
  }
  await until('the first report', () => reports.length > 0)
  const sees: Followed['sees'] = (name, what, is) =>
    until(`${name} is ${what}`, () => {
      const instance = latest(name)
      return instance && is(instance) ? instance : undefined
    })
  return { reports, failures, latest, sees, stop }
}
