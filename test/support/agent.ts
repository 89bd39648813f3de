import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { type RunningHostler, startHostler } from './hostler.js'
import { tempDir } from './temp.js'
import { until } from './wait.js'

/** A Hostler of its own process that announces what a file says. */
export interface Agent {
  readonly hostler: RunningHostler
  /** Replaces its containers: their labels by name. */
  say(containers: Containers): void
}

export type Containers = Readonly<Record<string, Readonly<Record<string, string>>>>

export interface AgentOptions {
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  readonly containers?: Containers
  /** Where it keeps its state, for one that comes again. */
  readonly stateDir?: string
}

export async function startAgent({ name, env, containers = {}, stateDir = tempDir() }: AgentOptions): Promise<Agent> {
  const path = join(tempDir(), 'stacks.yml')
  const say = (next: Containers) => {
    const instances = Object.entries(next).map(([container, labels]) => ({
      ...{ name: container, address: '127.0.0.1', labels },
    }))
    writeFileSync(`${path}.new`, stringify({ instances }))
    renameSync(`${path}.new`, path)
  }
  say(containers)
  const hostler = startHostler(['run'], {
    HOSTLER_SOURCES: 'file',
    HOSTLER_FILE: path,
    HOSTLER_PROXY: 'none',
    HOSTLER_ANNOUNCE_NAME: name,
    HOSTLER_STATE_DIR: stateDir,
    HOSTLER_PRIVATE_LISTEN: '127.0.0.1:0',
    ...env,
  })
  await until(`${name} listens`, () => hostler.log().includes('hostler has started') || hostler.child.exitCode !== null)
  return { hostler, say }
}
