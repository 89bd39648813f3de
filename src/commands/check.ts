import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { labelRulesOf } from '../config/label-rules.js'
import { preflight } from '../config/preflight.js'
import type { Settings } from '../config/schema.js'
import { tryPages } from '../http/public/pages.js'
import type { Clock } from '../lib/clock.js'
import { messageOf } from '../lib/errors.js'
import type { Logger } from '../lib/logger.js'
import type { Instance } from '../model/instance.js'
import type { Plan } from '../model/plan.js'
import { createPlanner } from '../model/planner.js'
import { createProxies } from '../proxies/index.js'
import type { Proxy } from '../proxies/proxy.js'
import { createPublisher } from '../publish/publisher.js'
import { createRegistries } from '../registries/index.js'
import type { RegistryContext } from '../registries/registry.js'
import { runtimeNames } from '../runtimes/index.js'
import { createSources } from '../sources/index.js'

interface Verdict {
  readonly what: string
  /** Undefined when all is well. */
  readonly problem?: string
  readonly detail?: string
}

/** `hostler check`: settings, sources, registries, labels, templates, proxy configuration. @returns the exit code */
export async function check(
  settings: Settings,
  { log, clock, signal }: { log: Logger; clock: Clock; signal: AbortSignal },
  print: (text: string) => void,
): Promise<number> {
  const verdicts: Verdict[] = []
  const say = (verdict: Verdict) => {
    verdicts.push(verdict)
    print(line(verdict))
  }
  say(
    await judge('settings', async () => {
      preflight(settings, { plans: true, supervises: settings.proxy.includes('haproxy') })
      return undefined
    }),
  )
  const instances: Instance[] = []
  for (const source of await createSources(settings, { log })) {
    const verdict = await judge(`source ${source.name}`, async () => {
      const found = await source.list(signal)
      instances.push(...found)
      return `${found.length} instances`
    })
    say(verdict)
  }
  const rules = labelRulesOf(settings, { wakes: runtimeNames(settings), holds: true })
  await judgeRegistries(settings, { rules, log, clock }, signal, say)
  const plan = createPlanner(rules)(instances)
  say(labels(plan))
  if (settings.public.listen) say(await judge('pages: templates', async () => `${tryPages(settings.templates)} pages`))
  for (const proxy of await createProxies(settings, { log, clock, duty: 'drive' })) {
    const templates = await judge(`${proxy.name}: templates`, async () => `${proxy.render(plan).length} files`)
    say(templates)
    if (templates.problem !== undefined) continue
    say(await judge(`${proxy.name}: configuration`, () => checkProxy(proxy, plan, log, signal)))
  }
  return verdicts.some(({ problem }) => problem !== undefined) ? 1 : 0
}

async function judgeRegistries(
  settings: Settings,
  context: RegistryContext,
  signal: AbortSignal,
  say: (verdict: Verdict) => void,
): Promise<void> {
  for (const registry of await createRegistries(settings, context)) {
    say(await judge(`registry ${registry.name}`, async () => registry.check?.(signal)))
    await registry.close?.()
  }
}

async function judge(what: string, work: () => Promise<string | undefined>): Promise<Verdict> {
  try {
    const detail = await work()
    return detail ? { what, detail } : { what }
  } catch (error) {
    return { what, problem: messageOf(error) }
  }
}

function labels({ rejections, routes }: Plan): Verdict {
  const detail = `${routes.length} routes`
  if (rejections.length === 0) return { what: 'labels', detail }
  const lines = rejections.map(
    ({ container, label, value, reason, remedy }) =>
      `${container}: ${label}=${JSON.stringify(value)}: ${reason}; ${remedy}`,
  )
  return { what: 'labels', problem: lines.join('\n') }
}

/** Stages the files in a folder of their own, so that nothing in place is touched. */
async function checkProxy(proxy: Proxy, plan: Plan, log: Logger, signal: AbortSignal): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'hostler-check-'))
  const publisher = createPublisher({ root, log })
  try {
    const files = proxy.render(plan)
    const stage = await publisher.stage(files.map((file, index) => ({ ...file, path: join(root, `${index}`) })))
    const staged = {
      scratch: stage.scratch,
      files: stage.files.map((file, index) => ({ ...file, path: files[index]?.path ?? file.path })),
    }
    const verdict = await proxy.check(staged, signal)
    if (!verdict.ok) throw new Error(verdict.message)
    return 'accepted'
  } finally {
    await publisher.close()
    await rm(root, { recursive: true, force: true })
  }
}

function line({ what, problem, detail }: Verdict): string {
  const mark = problem === undefined ? 'ok  ' : 'FAIL'
  const text = problem ?? detail
  return `${mark}  ${what}${text === undefined ? '' : `: ${text.replaceAll('\n', '\n        ')}`}\n`
}
