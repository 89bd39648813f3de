import { createHash } from 'node:crypto'
import type { RenderedText } from '../../render/compile.js'

/** Stands in templates for the revision, which is known only when all of them are rendered. */
export const REVISION_TOKEN = '__HOSTLER_REVISION__'

/** The middleware whose presence tells that Traefik has a revision. */
export const probeName = (revision: string): string => `hostler-${revision}`

const OPENING = '{{'
/** Traefik runs every file through Go's templates: this prints two braces. */
const ESCAPED_OPENING = '{{"{{"}}'

export interface FinalFiles {
  readonly revision: string
  /** Whether a file names the revision; a customer's template may have lost it. */
  readonly named: boolean
  readonly files: readonly RenderedText[]
}

/** Makes rendered texts fit for Traefik: no braces that its own templates would run, and the revision filled in. */
export function finish(rendered: readonly RenderedText[]): FinalFiles {
  const hash = createHash('sha256')
  for (const { name, text } of rendered) hash.update(`${name}\n${text}\n`)
  const revision = hash.digest('hex').slice(0, 16)
  const files = rendered.map(({ name, text }) => ({
    name,
    text: text.replaceAll(OPENING, ESCAPED_OPENING).replaceAll(REVISION_TOKEN, revision),
  }))
  return { revision, named: rendered.some(({ text }) => text.includes(REVISION_TOKEN)), files }
}

/** What Traefik's YAML parser will see of a finished text. */
export const afterTemplating = (text: string): string => text.replaceAll(ESCAPED_OPENING, OPENING)
