import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type CommandKind, judge, verified } from '../../../../src/proxies/haproxy/runtime/replies.js'
import { createRuntimeSocket } from '../../../../src/proxies/haproxy/runtime/socket.js'
import { type Recorded, recorded, recordedReplies, recordedVersions } from '../../../support/haproxy-replies.js'
import { greetingDouble } from '../../../support/stats-socket-double.js'

const signal = new AbortController().signal
const PROMPT = '\n> '

/** The text as the socket hands it on. */
const textOf = ({ raw }: Recorded) => raw.slice(0, -PROMPT.length).replace(/^(?:\+ )+/, '')
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

  test('a connection that is cut at any byte of a success is an error', async () => {
    const replies = commandsOf(version).filter(({ expect: wanted }) => wanted === 'done')
    const path = await greetingDouble((text, socket) => {
      const [name, end] = text.trim().split(' ')
      socket.end(recorded(version, name ?? '').raw.slice(0, Number(end)))
    })
    const socket = createRuntimeSocket(path)
    // Replies that end alike are cut alike: the head of each and every byte of the tail.
    for (const { name, raw } of replies) {
      for (let end = 0; end < raw.length; end += end < raw.length - 12 ? 7 : 1) {
        await expect(socket.ask(`${name} ${end}`, signal)).rejects.toMatchObject({ code: 'HAPROXY_SOCKET_CLOSED' })
      }
      expect((await socket.ask(`${name} ${raw.length}`, signal)).text).toBe(textOf(recorded(version, name)))
    }
  })
})

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
