import { fields, string, strings } from './fields.js'

/** An event of the engine, reduced to what matters here. */
export interface EngineEvent {
  /** Podman's `died` and `remove` read as `die` and `destroy`. */
  readonly action: string
  /** `healthy` of Docker's `health_status: healthy`; else empty. */
  readonly detail: string
  /** The container's id. */
  readonly id: string
  /** The container's labels among other things; empty for a network's event. */
  readonly attributes: Readonly<Record<string, string>>
}

const SYNONYMS: Readonly<Record<string, string>> = { died: 'die', remove: 'destroy' }

/**
 * One line of the event stream; undefined for an event that is about no container.
 * @throws SyntaxError when it is no JSON
 */
export function parseEvent(line: string): EngineEvent | undefined {
  const event = fields(JSON.parse(line))
  const actor = fields(event['Actor'])
  const attributes = strings(actor['Attributes'])
  const [action = '', ...more] = string(event['Action']).split(':')
  const detail = more.join(':').trim()
  if (event['Type'] === 'network') {
    const id = attributes['container'] ?? ''
    return id === '' ? undefined : { action, detail, id, attributes: {} }
  }
  const id = string(actor['ID'])
  if (event['Type'] !== 'container' || id === '') return undefined
  return { action: Object.hasOwn(SYNONYMS, action) ? (SYNONYMS[action] ?? action) : action, detail, id, attributes }
}
