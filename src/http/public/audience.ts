import type { IncomingHttpHeaders } from 'node:http'
import type { Ask } from './ask.js'

/**
 * Who asks: a person before a browser, who is shown a page while an app starts, or a program, which gets the app's own
 * answer however long that takes.
 */

/** A browser that goes to a page, rather than a script, an image or a form's POST of the same browser. */
export function isPageLoad({ method, hasBody }: Ask, headers: IncomingHttpHeaders): boolean {
  if (method !== 'GET' || hasBody) return false
  const mode = headers['sec-fetch-mode']
  if (mode !== undefined) return mode === 'navigate'
  // Browsers leave Sec-Fetch-Mode out where there is no TLS.
  return headers['x-requested-with'] === undefined && prefersHtml(headers.accept)
}

/** HTML is named, and nothing that is named is liked better; of equals the first counts. Wildcards name nothing. */
export function prefersHtml(accept = ''): boolean {
  let best = { type: '', quality: 0 }
  for (const range of accept.toLowerCase().split(',', MOST_RANGES)) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim())
    const quality = qualityOf(parameters)
    if (!type.includes('*') && quality > best.quality) best = { type, quality }
  }
  return HTML.has(best.type)
}

const HTML: ReadonlySet<string> = new Set(['text/html', 'application/xhtml+xml'])
const MOST_RANGES = 100

function qualityOf(parameters: readonly string[]): number {
  const weight = parameters.find((parameter) => parameter.startsWith('q='))
  const quality = weight === undefined ? 1 : Number(weight.slice(2))
  return quality >= 0 && quality <= 1 ? quality : 0
}

/** Requests that start nothing: probes, icons, crawlers. */
export function createIgnorer(settings: {
  readonly ignoredPaths: readonly string[]
  readonly ignoredAgents: readonly string[]
}): (ask: Ask, agent: string | undefined) => boolean {
  const paths = new Set(settings.ignoredPaths.filter((path) => !path.endsWith('*')))
  const beginnings = settings.ignoredPaths.filter((path) => path.endsWith('*')).map((path) => path.slice(0, -1))
  const words = settings.ignoredAgents.map((word) => word.toLowerCase())
  return ({ path }, agent = '') => {
    const name = agent.toLowerCase()
    return (
      paths.has(path) ||
      beginnings.some((beginning) => path.startsWith(beginning)) ||
      words.some((word) => name.includes(word))
    )
  }
}
