import { HostlerError } from '../errors.js'

/**
 * Reads a JSON array of objects piece by piece: a list of ten thousand containers is more than ten megabytes, of which
 * one object at a time need be in memory.
 */
export interface ArrayReader {
  /** @throws HostlerError `DOCKER_ANSWER` when this cannot be a JSON array of objects */
  write(chunk: Buffer): void
  /** @throws HostlerError `DOCKER_ANSWER` when the array has not ended yet */
  end(): void
}

const [QUOTE, BACKSLASH, COMMA, OPEN_LIST, CLOSE_LIST, OPEN, CLOSE] = [...Buffer.from('"\\,[]{}')]
const SPACES = new Set([...Buffer.from(' \t\r\n')])

type Place = 'start' | 'first item' | 'item' | 'inside' | 'after item' | 'end'

export function createArrayReader(take: (item: unknown) => void, maxItemBytes: number): ArrayReader {
  let place: Place = 'start'
  /** Of the object that is being read: its open braces and brackets, whether within a string, and the bytes so far. */
  let [depth, quoted, escaped, size] = [0, false, false, 0]
  let parts: Buffer[] = []

  function write(chunk: Buffer): void {
    let begin = 0
    for (let index = 0; index < chunk.length; index++) {
      const byte = chunk[index] as number
      if (place !== 'inside') {
        begin = index
        if (!SPACES.has(byte)) place = between(place, byte)
        if (place === 'inside') depth = 1
      } else if (ends(byte)) {
        parts.push(chunk.subarray(begin, index + 1))
        finish()
      }
    }
    if (place === 'inside') keep(chunk.subarray(begin))
  }

  /** Whether the object ends with this byte. Every byte of a character beyond ASCII is above those that count here. */
  function ends(byte: number): boolean {
    if (quoted) {
      if (escaped) escaped = false
      else if (byte === BACKSLASH) escaped = true
      else if (byte === QUOTE) quoted = false
      return false
    }
    if (byte === QUOTE) quoted = true
    else if (byte === OPEN || byte === OPEN_LIST) depth++
    else if (byte === CLOSE || byte === CLOSE_LIST) depth--
    return depth === 0
  }

  function keep(rest: Buffer): void {
    size += rest.length
    if (size > maxItemBytes)
      throw new HostlerError('DOCKER_ANSWER', `one container of its list has more than ${maxItemBytes} bytes`)
    parts.push(rest)
  }

  function finish(): void {
    const text = (parts.length === 1 ? parts[0] : Buffer.concat(parts))?.toString('utf8') ?? ''
    parts = []
    size = 0
    place = 'after item'
    take(parse(text))
  }

  function end(): void {
    if (place !== 'end') throw new HostlerError('DOCKER_ANSWER', 'its list ends in the middle')
  }
  return { write, end }
}

function between(place: Exclude<Place, 'inside'>, byte: number): Place {
  if (place === 'start' && byte === OPEN_LIST) return 'first item'
  if ((place === 'first item' || place === 'item') && byte === OPEN) return 'inside'
  if ((place === 'first item' || place === 'after item') && byte === CLOSE_LIST) return 'end'
  if (place === 'after item' && byte === COMMA) return 'item'
  throw new HostlerError('DOCKER_ANSWER', 'it answered with something that is no list of containers')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new HostlerError('DOCKER_ANSWER', 'its list holds something that is no JSON', { cause })
  }
}
