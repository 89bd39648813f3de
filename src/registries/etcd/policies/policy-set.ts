import { basename, resolve } from 'node:path'
import { watch } from 'chokidar'
import { globSync, isDynamicPattern } from 'tinyglobby'
import type { Clock } from '../../../lib/clock.js'
import { HostlerError, messageOf } from '../../../lib/errors.js'
import type { EtcdClient } from '../../../lib/etcd/client.js'
import { didYouMean } from '../../../lib/nearest.js'
import { builtIn, type ContainerNodes } from './built-in.js'
import { configsInEtcd, configsInFolder, watchFolder } from './configs.js'
import { createFilePolicy, type FilePolicyOptions } from './file-policy.js'
import type { Policy } from './policy.js'
import { createServices, type Service, type Services } from './services.js'

/** The policies of the settings, with all that they are told. */
export interface PolicySet {
  /** What is at work now. `isWhole` false: of some policy it is not known yet. */
  services(): Promise<{
    readonly services: readonly Service[]
    readonly troubles: readonly string[]
    readonly isWhole: boolean
  }>
  /** Follows their files and configurations until aborted; `changed` when `services` says something else. */
  run(changed: () => void, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

export interface PolicySetInputs {
  /** Names of built-in ones, files, and globs of files. */
  readonly policies: readonly string[]
  readonly builtIns: readonly ContainerNodes[]
  /** The folder of configurations; empty: none. */
  readonly folder: string
  readonly client: EtcdClient
  readonly clock: Clock
  readonly open?: (options: FilePolicyOptions) => Promise<Policy>
}

/** @throws HostlerError `CONFIG` for a policy that is nowhere */
export function createPolicySet(inputs: PolicySetInputs): PolicySet {
  const { builtIns, folder, client, clock, open = createFilePolicy } = inputs
  const wanted = inputs.policies.flatMap((text) => found(text, builtIns))
  assertNames(wanted)
  const members = wanted.map((one) => createMember(one, open))
  const inEtcd = new Map<string, ReturnType<typeof configsInEtcd>>()
  const following = new Set<Promise<void>>()
  let follow: (path: string) => void = () => undefined

  function textsOf(policy: Policy) {
    const own = configsInFolder(folder, policy.name)
    const path = policy.config?.etcdPath
    if (path === undefined || own === undefined) return own
    if (!inEtcd.has(path)) {
      inEtcd.set(path, configsInEtcd(path, client, clock))
      follow(path)
    }
    const theirs = inEtcd.get(path)?.texts()
    return theirs && [...own, ...theirs]
  }

  function read(loaded: Policy, services: Services) {
    const texts = loaded.config ? textsOf(loaded) : []
    return { ...services.read(texts), isKnown: texts !== undefined }
  }

  return {
    async services() {
      await Promise.all(members.map((member) => member.load()))
      const parts = members.flatMap(({ current }) => (current() ? [read(...(current() as [Policy, Services]))] : []))
      return {
        services: parts.flatMap(({ services }) => services),
        troubles: [...members.flatMap(({ trouble }) => trouble() ?? []), ...parts.flatMap(({ troubles }) => troubles)],
        isWhole: parts.length === members.length && parts.every(({ isKnown }) => isKnown),
      }
    },
    async run(changed, signal) {
      follow = (path) => {
        const configs = inEtcd.get(path)
        if (configs) following.add(configs.follow(changed, signal))
      }
      for (const path of inEtcd.keys()) follow(path)
      await Promise.all([watchFolder(folder, changed, signal), watchFiles(members, changed, signal)])
      await Promise.all(following)
    },
    async close() {
      await Promise.all(members.map((member) => member.close()))
    },
  }
}

type Found =
  | { readonly name: string; readonly path: string }
  | { readonly name: string; readonly builtIn: ContainerNodes }

function found(text: string, builtIns: readonly ContainerNodes[]): Found[] {
  const known = builtIns.find(({ name }) => name === text)
  if (known) return [{ name: known.name, builtIn: known }]
  const names = builtIns.map(({ name }) => name)
  const isPath = /[/.*]/.test(text)
  if (!isPath)
    throw new HostlerError(
      'CONFIG',
      `no policy is called "${text}" (HOSTLER_POLICIES).${didYouMean(text, names)} Built in are ${names.join(', ')}; a file needs its path, with .js or .ts`,
    )
  const paths = isDynamicPattern(text) ? globSync(text, { absolute: true }).sort() : [resolve(text)]
  const files = paths.filter((path) => /\.m?[jt]s$/.test(path) && !path.endsWith('.d.ts'))
  if (files.length === 0 && !isDynamicPattern(text))
    throw new HostlerError('CONFIG', `policy ${text} (HOSTLER_POLICIES) is no .js or .ts file`)
  return files.map((path) => ({ name: basename(path).replace(/\.m?[jt]s$/, ''), path }))
}

function assertNames(wanted: readonly Found[]): void {
  for (const [index, { name }] of wanted.entries()) {
    if (wanted.findIndex((other) => other.name === name) === index) continue
    throw new HostlerError(
      'CONFIG',
      `two policies are called "${name}" (HOSTLER_POLICIES); give each file a name of its own`,
    )
  }
}

/** One policy, loaded when it is first asked for, and anew when its file has changed. */
function createMember(wanted: Found, open: (options: FilePolicyOptions) => Promise<Policy>) {
  let current: [Policy, Services] | undefined
  let trouble: string | undefined
  let isStale = true

  async function load(): Promise<void> {
    if (!isStale) return
    isStale = false
    const before = current?.[0]
    try {
      const policy = 'builtIn' in wanted ? builtIn(wanted.builtIn) : await open(wanted)
      current = [policy, createServices(policy)]
      trouble = undefined
      await before?.close?.()
    } catch (error) {
      const where = 'path' in wanted ? wanted.path : 'built in'
      trouble = `policy ${wanted.name} (${where}): ${messageOf(error)}; ${before ? 'it goes on as it was' : 'its nodes stay as they were'}`
    }
  }

  return {
    load,
    path: 'path' in wanted ? wanted.path : undefined,
    current: () => current,
    trouble: () => trouble,
    outdate: () => {
      isStale = true
    },
    close: async () => current?.[0].close?.(),
  }
}

async function watchFiles(
  members: readonly ReturnType<typeof createMember>[],
  changed: () => void,
  signal: AbortSignal,
) {
  const paths = members.flatMap(({ path }) => path ?? [])
  if (paths.length === 0 || signal.aborted) return
  const watcher = watch(paths, { ignoreInitial: true, awaitWriteFinish: { stabilityThreshold: 50, pollInterval: 20 } })
  const outdate = (_event: string, path: string) => {
    for (const member of members) if (member.path === path) member.outdate()
    changed()
  }
  watcher.on('all', outdate)
  watcher.on('error', () => undefined)
  await new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }))
  await watcher.close()
}
