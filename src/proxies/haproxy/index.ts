import { existsSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Settings } from '../../config/schema.js'
import { codeOf, HostlerError, messageOf } from '../../lib/errors.js'
import type { Plan } from '../../model/plan.js'
import type { RenderedFile, StagedFiles } from '../../publish/files.js'
import { createTemplates } from '../../render/templates.js'
import type { CheckResult, Proxy, ProxyContext } from '../proxy.js'
import { publicAddress } from '../public-address.js'
import { createActivityReader } from './activity.js'
import { createWorkerReader } from './activity-workers.js'
import { createCertificates } from './certificates.js'
import { createChecker } from './checker.js'
import { createOptionalChecker } from './checker-elsewhere.js'
import { createContextMaker, type HaproxyContext } from './context.js'
import { createDriver } from './driver.js'
import { haproxyEnvironment, socketsOf } from './environment.js'
import { createLoader, isElsewhere } from './loader.js'
import { createMasterSocket } from './master-socket.js'
import { fillFromMetadata } from './metadata.js'
import { createOutputs, isConfig } from './outputs.js'
import { createMover } from './runtime/mover.js'
import type { LoadedFiles } from './runtime/read-image.js'
import { createRuntimeSocket } from './runtime/socket.js'
import { spareNames } from './runtime/spares.js'
import { certificateFolders, mentionedPaths, operatorSections } from './sections.js'

/** HAProxy, on files rendered from `templates/haproxy` beside the operator's base configuration. */
export function createHaproxy(settings: Settings, context: ProxyContext): Proxy {
  const { log, clock, duty } = context
  const base = resolve(settings.haproxy.config)
  const outputs = createOutputs(settings.haproxy)
  const written = Object.values(outputs.files)
  const templates = createTemplates('haproxy', settings.templates)
  const publicPort = publicAddress(settings, !isElsewhere(settings))
  const makeContext = createContextMaker()
  const env = haproxyEnvironment(settings)
  const certificates = createCertificates({
    file: resolve(settings.haproxy.sslCert),
    folder: settings.haproxy.certDir,
    copies: join(outputs.root, '.hostler', 'certificates'),
    log,
  })
  /** Every file of the newest rendering; before the first one, those that an earlier run or somebody else left. */
  let rendered: readonly string[] | undefined
  const present = () => rendered ?? written.filter((path) => existsSync(path))

  const filesWith = (all: readonly string[]): LoadedFiles => {
    const configs = [base, ...all.filter(isConfig).sort()]
    const pems = certificates.list().map(({ path }) => path)
    const others = [...all.filter((path) => !isConfig(path)), ...pems]
    return {
      configs,
      certificates: pems,
      others: unique([...others, ...mentionedFiles(base, env)]).filter((path) => !configs.includes(path)),
    }
  }
  const files = () => filesWith(present())
  const ports = () => {
    if (operatorSections(readBase(base)).frontends) return []
    const { http, https, stats } = settings
    const host = http.bind === '' ? {} : { host: http.bind }
    return [
      { port: http.port, ...host },
      ...(https.enabled ? [{ port: https.port, ...host }] : []),
      ...(stats.enabled ? [{ port: stats.port }] : []),
    ]
  }
  const loader = createLoader(settings, { ...context, env, configs: () => files().configs, ports })
  const checker = createChecker({ bin: settings.haproxy.bin, timeoutMs: settings.haproxy.checkTimeout, env })
  const life = new AbortController()
  const sockets = socketsOf(settings)
  const mover = createMover({
    socket: sockets.stats,
    serving: loader.serving,
    spares: settings.haproxy.spareBackends,
    env: { ...process.env, ...env },
    clock,
    log,
    signal: life.signal,
  })
  let plan: Plan | undefined
  const activity = createActivityReader({
    workers: createWorkerReader({
      stats: createRuntimeSocket(sockets.stats),
      master: createMasterSocket(sockets.master, { timeoutMs: ASK_MS, clock }),
    }),
    sparesOf: mover.sparesOf,
    maps: ['domain.map', 'path.map', 'cookie.map'].map(outputs.pathOf),
    plan: () => plan,
    clock,
    log,
  })
  const driver = createDriver({
    files,
    mover: settings.haproxy.runtime ? mover : undefined,
    checker: isElsewhere(settings) ? createOptionalChecker(checker, log) : checker,
    loader: {
      ...loader,
      async load(signal) {
        if (settings.public.listen && existsSync(sockets.stats)) await activity.beforeLoad(signal)
        return loader.load(signal)
      },
    },
    spacingMs: settings.haproxy.reloadInterval,
    scratch: join(outputs.root, '.hostler', 'scratch'),
    clock,
    log,
  })

  function templateContext(plan: Plan): HaproxyContext {
    const serving = settings.https.enabled ? certificates.list() : []
    const operator = operatorSections(readBase(base))
    if (settings.https.enabled && serving.length === 0 && !operator.frontends) warnOfMissingCertificate()
    // Without a certificate there is no HTTPS to serve, nor to send anybody to.
    const https = {
      ...settings.https,
      enabled: serving.length > 0,
      redirect: settings.https.redirect && serving.length > 0,
    }
    return makeContext(plan, {
      settings: { domain: settings.domain, http: settings.http, https, direct: settings.direct },
      files: outputs.files,
      certificates: serving,
      operator,
      public: publicPort && { ...publicPort, timeoutMs: settings.wake.timeout + PUBLIC_MARGIN_MS },
      spares: spareNames(settings.haproxy.runtime ? settings.haproxy.spareBackends : 0),
    })
  }

  const renderFiles = (plan: Plan): RenderedFile[] =>
    templates.render(templateContext(plan)).map(({ name, text }) => ({ path: outputs.pathOf(name), content: text }))

  let warned = false
  function warnOfMissingCertificate(): void {
    if (!warned)
      log.error(
        { path: settings.haproxy.sslCert },
        'HTTPS is on but there is no certificate; put one there and it is served at once',
      )
    warned = true
  }

  return {
    name: 'haproxy',
    root: outputs.root,
    context: templateContext,
    render(wanted) {
      plan = wanted
      return renderFiles(wanted)
    },
    async check(staged: StagedFiles, signal): Promise<CheckResult> {
      rendered = staged.files.map(({ path }) => path)
      if (duty === 'publish') return { ok: true }
      const places = new Map(staged.files.map(({ path, stagedPath }) => [path, stagedPath]))
      const verdict = await driver.check(files(), places, staged.scratch, signal)
      if (!verdict.ok && certificates.blame(verdict.message)) throw badCertificate(verdict.message)
      return verdict
    },
    async apply(signal, newer) {
      if (duty === 'publish') return { how: 'nothing', ms: 0 }
      const applied = await driver.apply(signal, newer).catch((error) => {
        certificates.blame(messageOf(error))
        throw error
      })
      if (applied.how !== 'later') certificates.inForce()
      return applied
    },
    async preview(wanted, signal) {
      if (duty === 'load') return { files: [], ...(await driver.preview(files(), new Map(), signal)) }
      const texts = renderFiles(wanted)
      if (duty === 'publish') return { files: texts, how: 'nothing' }
      const held = new Map(texts.map(({ path, content }) => [path, content]))
      return { files: texts, ...(await driver.preview(filesWith([...held.keys()]), held, signal)) }
    },
    ...(duty === 'drive' && { activity: activity.read }),
    watched: () => [
      base,
      ...templates.folders,
      settings.haproxy.sslCert,
      settings.haproxy.certDir,
      // What we write ourselves is no news to us.
      ...mentionedFiles(base, env).filter((path) => !written.includes(path)),
      ...(duty === 'load' ? written : []),
    ],
    async start(signal) {
      if (duty === 'publish') return
      await loader.prepare(signal)
      await fillFromMetadata(settings, env, context, signal)
      if (!existsSync(outputs.pathOf('haproxy-backends.cfg'))) return
      // A failure here is no end: the first round tries again with new files.
      await driver
        .apply(signal, signal)
        .catch((err) => log.error({ err }, 'haproxy could not be started on the files of an earlier run'))
    },
    async stop() {
      life.abort()
      await driver.stop()
      await loader.stop()
    },
    describe: () => ({ ...loader.describe(), ...mover?.describe() }),
  }
}

/** Without culprits among the backends, for the next round renders other files. */
const badCertificate = (message: string) =>
  new HostlerError('REFUSED', `haproxy refuses a certificate, which is left out from now on: ${message}`)

/** HAProxy must not give up before the public port does. */
const PUBLIC_MARGIN_MS = 60_000

/** How long one answer of HAProxy's master may take. */
const ASK_MS = 2000

const unique = (paths: readonly string[]): string[] => [...new Set(paths)]

function readBase(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    // In generator mode the base configuration may lie in another container.
    if (codeOf(error) === 'ENOENT') return ''
    throw new HostlerError('CONFIG', `the base configuration ${path} cannot be read: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** The files, and folders of certificates, that the base configuration refers to, as far as they exist. */
function mentionedFiles(base: string, env: Readonly<Record<string, string>>): string[] {
  const config = readBase(base)
  const all = { ...process.env, ...env }
  const files = mentionedPaths(config, all).filter((path) => path !== base && isFile(path))
  return [...files, ...certificateFolders(config, all).filter(isFolder)]
}

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
