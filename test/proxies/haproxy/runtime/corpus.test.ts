import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { HostlerError } from '../../../../src/lib/errors.js'
import { type CommandKind, judge, verified } from '../../../../src/proxies/haproxy/runtime/replies.js'
import { createRuntimeSocket } from '../../../../src/proxies/haproxy/runtime/socket.js'
import { type Recorded, recorded, recordedReplies, recordedVersions } from '../../../support/haproxy-replies.js'
import { greetingDouble } from '../../../support/stats-socket-double.js'

const signal = new AbortController().signal
const PROMPT = '\n> '

/** The text as the socket hands it on. */
const textOf = ({ raw }: Pick<Recorded, 'raw'>) => raw.slice(0, -PROMPT.length).replace(/^(?:\+ )+/, '')
const verdictOn = (reply: Recorded) => judge(reply.kind as CommandKind, textOf(reply), reply.subject)
const dumps = new Set([
  'other',
  'show-info',
  'show-backend',
  'show-servers-state',
  'show-map',
  'show-stat',
  'show-crt-list',
])
const commandsOf = (version: string) => recordedReplies(version).filter(({ kind }) => !dumps.has(kind))

describe.each(recordedVersions())('replies recorded from HAProxy %s', (version) => {
  test('every success is known as one and nothing else is', () => {
    for (const reply of commandsOf(version)) {
      expect([reply.name, verdictOn(reply).outcome === 'done']).toEqual([reply.name, reply.expect === 'done'])
    }
  })

  test('a failure keeps the words of HAProxy', () => {
    for (const reply of commandsOf(version).filter(({ expect: wanted }) => wanted === 'failed')) {
      const words = /^(?:\[\d\]: )?([^\n]*)/.exec(textOf(reply))?.[1]
      expect(verdictOn(reply)).toMatchObject({ text: expect.stringContaining(words ?? '?') })
    }
  })

  test('every reply ends with the one prompt that it holds', () => {
    for (const { name, raw } of recordedReplies(version)) {
      expect([name, raw.split(PROMPT).length, raw.endsWith(PROMPT)]).toEqual([name, 2, true])
    }
  })

  test('no text that was cut short is a success, even were its end taken for the end of the reply', () => {
    for (const reply of commandsOf(version).filter(({ expect: wanted, raw }) => wanted === 'done' && raw.length > 30)) {
      const text = textOf(reply)
      for (let end = 0; end < text.trimEnd().length; end++) {
        const { outcome } = judge(reply.kind as CommandKind, text.slice(0, end), reply.subject)
        expect([reply.name, end, outcome]).not.toEqual([reply.name, end, 'done'])
      }
    }
  })
})

describe('recorded replies, cut at any byte', () => {
  const replies = recordedVersions().flatMap((version) => recordedReplies(version))

  test('are an error when the connection ends there', async () => {
    const beginnings = new Set(replies.flatMap((reply) => beginningsOf(reply)))
    let beginning = ''
    const socket = createRuntimeSocket(await greetingDouble((_, connection) => void connection.end(beginning)))
    for (beginning of beginnings) {
      const code = await socket.ask('x', signal).catch((error: HostlerError) => error.code)
      if (code !== 'HAPROXY_SOCKET_CLOSED') throw new Error(`${JSON.stringify(beginning)} gives ${code}`)
    }
    expect(beginnings.size).toBeGreaterThan(5000)
    // A connection for each: seconds, on a machine that does nothing else.
  }, 180_000)

  test('are whole when the rest comes later', async () => {
    const raws = [...new Set(replies.filter(({ kind }) => !dumps.has(kind)).map(({ raw }) => raw))]
    const path = await greetingDouble((text, socket) => {
      const [i, end] = text.trim().split(' ').map(Number)
      const raw = raws[i ?? -1] ?? ''
      socket.write(raw.slice(0, end), () => setImmediate(() => socket.write(raw.slice(end))))
    })
    await createRuntimeSocket(path).session(async ({ ask }) => {
      for (const [i, raw] of raws.entries()) {
        const texts = new Set<string>()
        for (let end = 1; end < raw.length; end++) texts.add((await ask(`${i} ${end}`)).text)
        expect([...texts]).toEqual([textOf({ raw })])
      }
    }, signal)
  })
})

/** All that are not the whole; of a dump those that end with a line or beside its end, as another dump might. */
function beginningsOf({ kind, raw }: Recorded): string[] {
  const isDump = dumps.has(kind)
  const ends = Array.from(raw, (_, end) => end).filter((end) => !isDump || raw.slice(end - 1, end + 2).includes('\n'))
  return ends.map((end) => raw.slice(0, end))
}

describe('replies that nobody recorded', () => {
  const kinds = [...new Set(recordedVersions().flatMap((version) => commandsOf(version).map(({ kind }) => kind)))]

  test('are never a success', () => {
    const reply = fc.oneof(
      fc.string({ minLength: 1 }),
      fc.string().map((text) => `[6]: ${text}`),
    )
    fc.assert(
      fc.property(fc.constantFrom(...kinds), reply, (kind, text) => {
        expect(judge(kind as CommandKind, text, 'one.pem').outcome).not.toBe('done')
      }),
      { numRuns: 2000 },
    )
  })

  test('2.6 updates another certificate than it was told to while a transaction is open, which is no success', () => {
    const reply = recorded('2.6.12', 'set-cert-other')
    expect(reply.subject).toBe('other.pem')
    expect(verdictOn(reply)).toEqual({ outcome: 'unknown', text: 'Transaction updated for certificate one.pem!' })
  })

  test('a version is handed on', () => {
    expect(judge('prepare-map', '[6]: New version created: 12\n')).toEqual({ outcome: 'done', made: '12' })
  })

  test('the error names the command and what HAProxy said to it, without its control characters', () => {
    const refused = { command: 'add map m k v', text: '[3]: Unknown\x1b[2J map.\n' }
    expect(() => verified('add-map', refused)).toThrow('HAProxy refused `add map m k v`: "Unknown [2J map."')
    const unknown = { command: 'add map m k v', text: 'hello' }
    expect(() => verified('add-map', unknown)).toThrow(expect.objectContaining({ code: 'HAPROXY_REPLY_UNKNOWN' }))
  })
})
