import { parseDocument } from 'yaml'
import { messageOf } from '../../../lib/errors.js'

/**
 * A configuration from its JSON.
 * @throws Error that tells where it is wrong, and nothing of the text: it may hold what is secret
 */
export function parseConfig(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const place = placeIn(text, messageOf(error))
    throw new Error(`it is no JSON${place ? ` (line ${place.line}, column ${place.col})` : ''}`)
  }
}

/** JSON.parse tells the place of some mistakes only; the YAML parser tells most others, for JSON is YAML. */
function placeIn(text: string, message: string): { line: number; col: number } | undefined {
  const [, offset] = / in JSON at position (\d+)(?: \(line \d+ column \d+\))?$/.exec(message) ?? []
  if (offset === undefined) return parseDocument(text, { schema: 'json' }).errors[0]?.linePos?.[0]
  const before = text.slice(0, Number(offset)).split('\n')
  return { line: before.length, col: (before.at(-1)?.length ?? 0) + 1 }
}
