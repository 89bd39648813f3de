import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { Clock } from '../../lib/clock.js'
import type { Logger } from '../../lib/logger.js'
import type { CompiledTemplates } from '../../render/compile.js'
import { followFolders, PACKAGED_TEMPLATES } from '../../render/templates.js'

export type PageName = 'waiting' | 'failed' | 'unavailable' | 'not-found'

/** What the templates in `templates/pages` get. Every field is always there; what is not set is null. */
export interface PageContext {
  /** The hostname that was asked for. */
  readonly host: string
  /** The domain under which stacks get their names; empty when there is none. */
  readonly domain: string
  readonly stack: string | null
  readonly status: number
  /** What happened, in a few words. */
  readonly headline: string
  /** The same in a sentence or two; may be empty. */
  readonly detail: string
  /** After this many seconds it makes sense to ask again. */
  readonly retrySeconds: number | null
  /** How long the stack has been starting. */
  readonly waitedMs: number
  readonly waitedSeconds: number
  /** How long its last start took. */
  readonly usualMs: number | null
  readonly usualSeconds: number | null
  readonly steps: readonly StepContext[]
  /** Where the page can follow the start: server-sent events. */
  readonly eventsPath: string | null
}

export interface StepContext {
  readonly service: string
  /** `waiting`, `starting`, `probing`, `ready` or `failed`. */
  readonly what: string
  /** The same for people: `waits for another service`. */
  readonly words: string
}

/** Pages for people, from templates. */
export interface PublicPages {
  /** @throws HostlerError `TEMPLATE` */
  render(name: PageName, context: PageContext): Page
}

export interface Page {
  readonly html: string
  /** The Content-Security-Policy under which it works. */
  readonly policy: string
}

export interface PagesOptions {
  /** The user's folder of templates (setting `templates`); its folder `pages` is laid over ours. */
  readonly overlay: string
  readonly log: Logger
  readonly clock: Clock
}

/** How often the folders are looked at. */
const LOOK_MS = 1_000

/** A theme that is broken is told of in the log, and our own pages are shown in its place. */
export function createPages({ overlay, log, clock }: PagesOptions): PublicPages {
  const packaged = followFolders([join(PACKAGED_TEMPLATES, 'pages')], { escape: 'html' })
  const themed =
    overlay === ''
      ? packaged
      : followFolders([join(PACKAGED_TEMPLATES, 'pages'), join(overlay, 'pages')], { escape: 'html' })
  const policies = new WeakMap<CompiledTemplates, Map<PageName, string>>()
  let known: { readonly templates: CompiledTemplates; readonly until: number } | undefined
  let complaint = ''
  const complain = (err: unknown) => {
    const message = String(err)
    if (message !== complaint) log.error({ err }, 'page templates cannot be used; the packaged ones are shown')
    complaint = message
  }
  const current = (): CompiledTemplates => {
    if (known && clock.elapsed() < known.until) return known.templates
    let templates: CompiledTemplates
    try {
      templates = themed()
    } catch (error) {
      complain(error)
      templates = packaged()
    }
    known = { templates, until: clock.elapsed() + LOOK_MS }
    return templates
  }
  const make = (templates: CompiledTemplates, name: PageName, context: PageContext): Page => {
    const ofSet = policies.get(templates) ?? new Map<PageName, string>()
    policies.set(templates, ofSet)
    const policy = ofSet.get(name) ?? policyOf(templates.renderOne(`${name}.html`, SAMPLE))
    ofSet.set(name, policy)
    return { html: templates.renderOne(`${name}.html`, context), policy }
  }
  return {
    render(name, context) {
      const templates = current()
      try {
        return make(templates, name, context)
      } catch (error) {
        complain(error)
        return make(packaged(), name, context)
      }
    },
  }
}

const NAMES: readonly PageName[] = ['waiting', 'failed', 'unavailable', 'not-found']

/** Makes every page once, for `hostler check`. @returns how many. @throws HostlerError `TEMPLATE` */
export function tryPages(overlay: string): number {
  const folders = [join(PACKAGED_TEMPLATES, 'pages'), ...(overlay === '' ? [] : [join(overlay, 'pages')])]
  const templates = followFolders(folders, { escape: 'html' })()
  for (const name of NAMES) templates.renderOne(`${name}.html`, SAMPLE)
  return NAMES.length
}

/** Harmless words only: what a template makes of these is the template's own text. */
const SAMPLE: PageContext = {
  host: 'host',
  domain: 'domain',
  stack: 'stack',
  status: 503,
  headline: 'headline',
  detail: 'detail',
  retrySeconds: 1,
  waitedMs: 1,
  waitedSeconds: 1,
  usualMs: 1,
  usualSeconds: 1,
  steps: [{ service: 'service', what: 'starting', words: 'words' }],
  eventsPath: '/events',
}

/**
 * Allows the page's own style sheets and scripts by hash, and nothing else from anywhere. The hashes are taken from a page
 * made with harmless values: should a value ever become markup in a real one, it is not allowed to run. Being framed is
 * left to the app, which is what will be in the frame a moment later.
 */
function policyOf(html: string): string {
  return [
    "default-src 'none'",
    `style-src ${hashesOf(html, 'style')}`,
    `script-src ${hashesOf(html, 'script')}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ')
}

function hashesOf(html: string, element: 'style' | 'script'): string {
  const found = [...html.matchAll(new RegExp(`<${element}\\b[^>]*>([^]*?)</${element}>`, 'gi'))]
  const hashes = found.map(([, text = '']) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`)
  return hashes.length > 0 ? [...new Set(hashes)].join(' ') : "'none'"
}
