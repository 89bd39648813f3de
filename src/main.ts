#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { exitCodeOf } from './cli/exit-codes.js'
import { translateFlags } from './cli/predecessor-flags.js'
import type { LoadedConfig } from './config/load.js'
import { HostlerError, messageOf } from './lib/errors.js'
import { didYouMean } from './lib/nearest.js'
import { VERSION } from './version.js'

// A sidecar keeps small: by default V8 lets the heap grow by half or more before it looks for garbage, and each change of
// thousands of instances leaves some. To look more often still costs more than it saves: at 10 % a third of all processor
// time went into it at 5,000 stacks, for 20 MB of 300 at 10,000.
setFlagsFromString('--heap-growing-percent=25')

const print = (text: string): void => void process.stdout.write(text)

const program = new Command('hostler')
  .description('Gives every container stack a hostname and keeps HAProxy and Traefik pointed at what runs.')
  .version(VERSION)
  .option('--config <file>', 'settings file (default: HOSTLER_CONFIG, else hostler.yml, else /etc/hostler/hostler.yml)')
  .option('--set <key=value>', 'a setting, over the environment and the file; may be repeated', collect)
  .option('--proxy <names>', 'haproxy, traefik, a comma list, or none')
  .option('--domain <name>', 'the domain under which stacks get their names')
  .option('--log-level <level>', 'trace, debug, info, warn, error, fatal or silent')
  .exitOverride()
  .showHelpAfterError('(hostler --help says more)')
  .addHelpText(
    'after',
    '\nEvery setting is listed in docs/settings.md; hostler config prints those in force.\nExit codes: 0 done, 1 a problem was found, 2 wrong usage or settings, 3 a dependency could not be reached.\n',
  )

program
  .command('run', { isDefault: true })
  .description('follow what runs, render, publish, and keep the proxy in step (the default)')
  .allowExcessArguments(true)
  .action((_, { args: [unknown] }: Command) => {
    if (unknown === undefined) return serve('drive')
    const names = program.commands.map((command) => command.name())
    throw new HostlerError(
      'USAGE',
      `no command is called "${unknown}".${didYouMean(unknown, names)} hostler --help lists them`,
    )
  })
program
  .command('generate')
  .description('follow, render and publish only; another process reloads the proxy')
  .action(() => serve('publish'))
program
  .command('generate-maps')
  .description('generate under its old name; reads rancher-metadata unless told otherwise')
  .action(() => serve('publish', true))
program
  .command('haproxy')
  .description('supervise HAProxy on files that somebody else renders: start, watch, check, reload')
  .action(async () => {
    const [{ superviseHaproxy }, { preflight }] = await Promise.all([
      import('./commands/haproxy.js'),
      import('./config/preflight.js'),
    ])
    const { settings } = await load()
    preflight(settings, { plans: false, supervises: true })
    await until(await superviseHaproxy(settings, await context(settings)))
  })
program
  .command('render')
  .description('render once and exit')
  .option('--out <folder>', 'write the files there instead of printing them')
  .option('--diff', 'print what would change; exit 1 when something would')
  .option('--context', 'print what the templates get')
  .action(async (options) => {
    const { settings } = await load()
    const [{ render }, { onePass }, { preflight }] = await Promise.all([
      import('./commands/render.js'),
      import('./commands/one-pass.js'),
      import('./config/preflight.js'),
    ])
    preflight(settings, { plans: true, supervises: false })
    process.exitCode = await render(await onePass(settings, await context(settings)), options, print)
  })
program
  .command('check')
  .description(
    'judge settings, sources, registries, labels, templates and the proxy configuration; exit 1 on any problem',
  )
  .action(async () => {
    const { settings } = await load()
    const { check } = await import('./commands/check.js')
    process.exitCode = await check(settings, await context(settings), print)
  })
program
  .command('status')
  .description('what the running process knows: routes, backends, instances, rejections, last changes')
  .option('--json', 'as JSON')
  .action(async ({ json }: { json?: boolean }) => {
    const { settings } = await load()
    const { status } = await import('./commands/status.js')
    await status(settings, { json: json === true }, print)
  })
for (const what of ['wake', 'sleep'] as const) {
  program
    .command(`${what} <name>`)
    .description(
      what === 'wake'
        ? 'start a stack, by its name or that of a service or container, and wait until it is ready'
        : 'put a stack to sleep as if it had been idle for long enough',
    )
    .action(async (name: string) => {
      const { settings } = await load()
      const { wakeOrSleep } = await import('./commands/wake.js')
      await wakeOrSleep(settings, { what, name }, print)
    })
}
program
  .command('sync')
  .description(
    'announce what a source tells in a registry, once or (-c) for as long as it runs; takes what Rancon took',
  )
  .argument('[source]', 'where facts come from, such as rancher, docker or file (or RANCON_SOURCE)')
  .argument('[registry]', 'where they go: consul or etcd (or RANCON_BACKEND)')
  .option(
    '-s, --source-option <key=value>',
    'a setting of the source, such as url=http://rancher:8080/v2-beta; may be repeated',
    append,
  )
  .option(
    '-b, --backend-option <key=value>',
    'a setting of the registry, such as cleanup_id=ci; may be repeated',
    append,
  )
  .option('-c, --continuous', 'keep running and follow changes')
  .option('-w, --wait <seconds>', 'how often everything is looked at anew with -c (5)')
  .option('-v, --verbose', 'say what is done in detail; -vvvv for everything', (_, count: number) => count + 1, 0)
  .option('-d, --hangup-detection <seconds>', 'has no effect any more')
  .action(async (source: string | undefined, registry: string | undefined, options) => {
    const [{ syncPlan }, { syncOnce }] = await Promise.all([
      import('./cli/sync-options.js'),
      import('./commands/sync.js'),
    ])
    const { sourceOption: sourceOptions, backendOption: registryOptions, ...rest } = options
    const call = { source, registry, sourceOptions, registryOptions, ...rest }
    const { continuous, ...ranks } = syncPlan(call, process.env)
    const { settings } = await load(ranks)
    const inputs = await context(settings)
    if (!continuous) {
      process.exitCode = await syncOnce(settings, inputs, print)
      return
    }
    const { createApp } = await import('./app.js')
    await until(await createApp(settings, { ...inputs, duty: 'publish' }))
  })
program
  .command('plan')
  .description('what the running process would do next to its proxies, and why a reload; changes nothing')
  .option('--json', 'as JSON')
  .action(async ({ json }: { json?: boolean }) => {
    const { settings } = await load()
    const { plan } = await import('./commands/plan.js')
    process.exitCode = await plan(settings, { json: json === true }, print)
  })
program
  .command('password')
  .description(
    'read a password from standard input and print its hash, for a line USER,HASH of the users file (deploy.usersFile)',
  )
  .action(async () => {
    const [{ text }, { hashPassword }] = await Promise.all([
      import('node:stream/consumers'),
      import('./lifecycle/deploy/passwords.js'),
    ])
    if (process.stdin.isTTY) process.stderr.write('Type the password, Enter, then Ctrl-D: ')
    const password = (await text(process.stdin)).replace(/\r?\n$/, '')
    if (password === '') throw new HostlerError('USAGE', 'no password was given on standard input')
    print(`${await hashPassword(password)}\n`)
  })
program
  .command('config')
  .description('the settings in force and where each came from; secrets are masked')
  .action(async () => {
    const { formatConfig } = await import('./cli/config.js')
    print(`${formatConfig(await load()).trimEnd()}\n`)
  })

function collect(text: string, known: Map<string, string> | undefined): Map<string, string> {
  const split = text.indexOf('=')
  if (split < 1) throw new InvalidArgumentError('write KEY=VALUE, for example http.port=8080')
  return new Map(known ?? []).set(text.slice(0, split), text.slice(split + 1))
}

/** Of an option that may be repeated. */
function append(text: string, known: readonly string[] = []): string[] {
  return [...known, text]
}

async function load({
  isPredecessor = false,
  defaults = NONE,
  flags = NONE,
  options = NONE,
}: LoadOptions = {}): Promise<LoadedConfig> {
  const { loadConfig } = await import('./config/load.js')
  const { config, set, proxy, domain, logLevel } = program.opts()
  const named = Object.entries({ proxy, domain, 'log.level': logLevel }).filter(([, value]) => value !== undefined)
  return loadConfig({
    env: process.env,
    flags: new Map([...flags, ...(set ?? []), ...named, ...options]),
    defaults,
    file: config,
    isPredecessor,
  })
}

interface LoadOptions {
  readonly isPredecessor?: boolean
  /** Settings that the command brings along: below the file, below `--set`, and above it. */
  readonly defaults?: ReadonlyMap<string, string>
  readonly flags?: ReadonlyMap<string, string>
  readonly options?: ReadonlyMap<string, string>
}

const NONE: ReadonlyMap<string, string> = new Map()

async function context(settings: LoadedConfig['settings']) {
  const [{ createLogger }, { systemClock }] = await Promise.all([import('./lib/logger.js'), import('./lib/clock.js')])
  return { log: createLogger(settings.log), clock: systemClock, signal: new AbortController().signal }
}

async function serve(duty: 'drive' | 'publish', isPredecessor = false): Promise<void> {
  const { settings } = await load({ isPredecessor })
  const [{ createApp }, { preflight }] = await Promise.all([import('./app.js'), import('./config/preflight.js')])
  preflight(settings, { plans: true, supervises: duty === 'drive' && settings.proxy.includes('haproxy') })
  await until(await createApp(settings, { ...(await context(settings)), duty }))
}

/** Starts a service and stops it in order when told to, or when it breaks down. */
async function until(service: {
  start(): Promise<void>
  stop(): Promise<void>
  readonly ended: Promise<void>
}): Promise<void> {
  const { default: closeWithGrace } = await import('close-with-grace')
  const grace = closeWithGrace({ delay: 30_000, logger: false }, async ({ err }) => {
    if (err) process.stderr.write(`hostler: ${messageOf(err)}\n`)
    await service.stop()
  })
  try {
    await service.start()
    await service.ended
  } finally {
    grace.uninstall()
  }
}

try {
  await program.parseAsync(translateFlags(process.argv.slice(2), complain), { from: 'user' })
} catch (error) {
  process.exitCode = failure(error)
}

function complain(line: string): void {
  process.stderr.write(`hostler: ${line}\n`)
}

function failure(error: unknown): number {
  // Commander has printed what is wrong already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  for (const line of messageOf(error).split('\n')) complain(line)
  return exitCodeOf(error)
}
