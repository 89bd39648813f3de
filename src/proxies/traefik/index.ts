import { utimes } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { Settings } from '../../config/schema.js'
import type { Clock } from '../../lib/clock.js'
import { HostlerError } from '../../lib/errors.js'
import type { Logger } from '../../lib/logger.js'
import type { Plan } from '../../model/plan.js'
import type { StagedFiles } from '../../publish/files.js'
import { createTemplates } from '../../render/templates.js'
import type { Applied, CheckResult, Proxy, ProxyContext } from '../proxy.js'
import { createTraefikActivity } from './activity.js'
import { createTraefikApi, type TraefikApi } from './api.js'
import { listCertificates } from './certificates.js'
import { type BackendContext, createContextMaker, type TraefikContext } from './context.js'
import { writeFirstFile } from './first-file.js'
import { probe } from './probe.js'
import { afterTemplating, finish, probeName } from './revision.js'
import { createUnsupported } from './unsupported.js'
import { createVerdicts } from './verdicts.js'
import { createYamlCheck } from './yaml-check.js'

/** The file without which Traefik would have no route of ours. */
const MAIN_FILE = 'hostler.yml'

export interface TraefikOptions {
  readonly log: Logger
  readonly clock: Clock
  /** `publish`: only write files, ask Traefik nothing. */
  readonly duty: ProxyContext['duty']
}

/** Traefik by its file provider: it follows the folder by itself, and its API, where known, tells when it has a change. */
export function createTraefik(settings: Settings, { log, clock, duty }: TraefikOptions): Proxy {
  const { url, metrics, applyTimeout, certDir, entryPoints, tlsEntryPoints } = settings.traefik
  const root = resolve(settings.traefik.dir)
  const templates = createTemplates('traefik', settings.templates)
  const makeContext = createContextMaker(settings)
  const yaml = createYamlCheck()
  const api = url !== '' && duty === 'drive' ? createTraefikApi(url) : undefined
  const activity = createTraefikActivity({
    url: metrics || (url && `${url}/metrics`),
    entryPoints: [...entryPoints, ...tlsEntryPoints],
    services: () => rendered?.backends.map(({ name }) => name) ?? [],
  })
  const unsupported = createUnsupported(log)
  const verdicts = createVerdicts(log)
  let rendered: Rendered | undefined
  let applied: Rendered | undefined
  let verified: Rendered | undefined

  const context = (plan: Plan): TraefikContext => makeContext(plan, listCertificates(certDir))

  function renderFiles(plan: Plan): Rendered {
    const { backends, ...rest } = context(plan)
    const { revision, named, files } = finish(templates.render({ backends, ...rest }))
    if (api && !named) throw lostRevision()
    return { revision, backends, files: files.map(({ name, text }) => ({ path: join(root, name), content: text })) }
  }

  /** Looks at what changed since Traefik was last seen to be in step, and at what it had complained of. */
  async function verify(current: Rendered, api: TraefikApi, signal: AbortSignal): Promise<void> {
    const known = new Set(verified?.backends)
    const backends = current.backends.filter((backend) => !known.has(backend) || verdicts.isFaulty(backend.name))
    const remind = () => utimes(join(root, MAIN_FILE), new Date(), new Date()).catch(() => undefined)
    const request = { name: probeName(current.revision), backends, timeoutMs: applyTimeout, remind }
    const finding = await probe(request, { api, clock }, signal)
    verdicts.take(finding, current.revision, current.backends)
    if (finding.is === 'not loaded') throw notLoaded(finding.reason, root, applyTimeout)
    if (finding.is === 'in force') verified = current
  }

  return {
    name: 'traefik',
    root,
    context,
    render(plan) {
      unsupported.lookAt(plan.backends)
      rendered = renderFiles(plan)
      return rendered.files
    },
    check: (staged) => checkFiles(staged, yaml, rendered?.backends ?? []),
    async apply(signal): Promise<Applied> {
      const started = clock.elapsed()
      const current = rendered
      const isNew = current?.revision !== applied?.revision
      if (current && api) await verify(current, api, signal)
      applied = current
      return { how: isNew ? 'watched' : 'nothing', ms: clock.elapsed() - started }
    },
    async preview(plan) {
      const { revision, files } = renderFiles(plan)
      return { files, how: revision === applied?.revision ? 'nothing' : 'watched' }
    },
    async start() {
      try {
        await writeFirstFile(join(root, MAIN_FILE), () => contentOf(renderFiles(NOTHING)))
      } catch (err) {
        log.warn({ err, folder: root }, 'no first file could be written; Traefik must not start before there is one')
      }
    },
    ...(duty === 'drive' && { activity }),
    watched: () => [...templates.folders, ...(certDir === '' ? [] : [certDir])],
    describe: () => ({ folder: root, ...unsupported.describe(), ...(api && verdicts.describe()) }),
  }
}

interface Rendered {
  readonly revision: string
  readonly backends: readonly BackendContext[]
  readonly files: { readonly path: string; readonly content: string }[]
}

const NOTHING: Plan = { backends: [], routes: [], rejections: [], warnings: [] }

const contentOf = ({ files }: Rendered): string => files.find(({ path }) => basename(path) === MAIN_FILE)?.content ?? ''

async function checkFiles(
  { files }: StagedFiles,
  yaml: ReturnType<typeof createYamlCheck>,
  backends: readonly BackendContext[],
): Promise<CheckResult> {
  for (const { path, content } of files) {
    if (!/\.ya?ml$/.test(path)) continue
    const complaint = await yaml.complaint(afterTemplating(content), basename(path) === MAIN_FILE)
    if (!complaint) continue
    const { message, entry } = complaint
    const culprit = backends.find(({ name }) => name === entry?.split('~')[0])
    const place = entry === undefined ? basename(path) : `${basename(path)}, ${entry}`
    return { ok: false, message: `${place}: ${message}`, culprits: culprit ? [culprit.name] : [] }
  }
  return { ok: true }
}

const lostRevision = () =>
  new HostlerError(
    'TEMPLATE',
    'no Traefik template has the middleware hostler-{{revision}}, by which Hostler sees that a change is in force; put it back, or leave TRAEFIK_URL empty',
  )

const notLoaded = (reason: string, root: string, timeoutMs: number) =>
  new HostlerError(
    'TRAEFIK',
    `Traefik did not load ${root} within ${timeoutMs} ms: ${reason}. See its log: one bad file there holds back all others; and see that its file provider watches that folder`,
  )
