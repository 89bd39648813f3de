import { register } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../../../lib/errors.js'
import { readNodes } from './nodes.js'
import type { Outcome } from './policy.js'
import type { Ask, Told } from './thread.js'

/** The thread of one policy of a user's: loads the module, tells what it declares, and asks it of containers. */

interface PolicyModule {
  readonly config?: unknown
  readonly prefix?: unknown
  readonly container?: unknown
}

type Container = (container: unknown, config: unknown) => unknown

register('./typescript-hook.js', import.meta.url)
const { url } = workerData as { readonly url: string }

try {
  const exported = (await import(url)) as PolicyModule & { readonly default?: PolicyModule }
  const module = exported.container === undefined && exported.default ? exported.default : exported
  const { container, config, prefix } = module
  if (typeof container !== 'function') throw new TypeError('it exports no function "container"')
  if (prefix !== undefined && !isPath(prefix)) throw new TypeError('its "prefix" is no path; write /one/two')
  if (config !== undefined && (typeof config !== 'object' || config === null))
    throw new TypeError('its "config" is no JSON Schema of an object')
  if (config && 'etcdPath' in config && !isPath(config.etcdPath))
    throw new TypeError('the "etcdPath" of its config is no path; write /one/two')
  parentPort?.on('message', (ask: Ask) => void answer(container as Container, ask))
  // What cannot be cloned is no JSON Schema either.
  tell(0, { config: config && (JSON.parse(JSON.stringify(config)) as object), prefix })
} catch (error) {
  tell(0, { error: messageOf(error) })
}

function isPath(value: unknown): boolean {
  return typeof value === 'string' && /^(?:\/[^/]+)+$/.test(value)
}

function tell(id: number, answer: Told['answer']): void {
  parentPort?.postMessage({ id, answer } satisfies Told)
}

async function answer(container: Container, { id, containers, config, at }: Ask): Promise<void> {
  const outcomes: Outcome[] = []
  for (const [index, one] of containers.entries()) {
    Atomics.store(at, 0, index)
    outcomes.push(await ask(container, one, config))
  }
  tell(id, { outcomes })
}

async function ask(container: Container, one: unknown, config: unknown): Promise<Outcome> {
  try {
    return { nodes: await readNodes(container(one, structuredClone(config))) }
  } catch (error) {
    return { error: messageOf(error) }
  }
}
