import { writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createRuntimeSocket } from '../../../../src/proxies/haproxy/runtime/socket.js'
import { commandLine, MAX_COMMAND_BYTES, wire } from '../../../../src/proxies/haproxy/runtime/socket-command.js'
import { GREETED, greetingDouble, socketDouble } from '../../../support/stats-socket-double.js'
import { tempDir } from '../../../support/temp.js'

const signal = new AbortController().signal

describe('a stats socket that misbehaves', () => {
  test('a path where nothing is says what to look for', async () => {
    const socket = createRuntimeSocket(join(tempDir(), 'none'))
    await expect(socket.ask('show info', signal)).rejects.toMatchObject({
      code: 'HAPROXY_SOCKET_UNREACHABLE',
      message: expect.stringContaining('stats socket PATH level admin'),
    })
  })

  test('a file that is no socket is unreachable', async () => {
    const path = join(tempDir(), 'file')
    writeFileSync(path, '')
    await expect(createRuntimeSocket(path).ask('show info', signal)).rejects.toMatchObject({
      code: 'HAPROXY_SOCKET_UNREACHABLE',
    })
  })

  test('silence ends at the time-out, before and after the greeting', async () => {
    for (const path of [await socketDouble(() => undefined), await greetingDouble(() => undefined)]) {
      const socket = createRuntimeSocket(path, { timeoutMs: 40 })
      await expect(socket.ask('show info', signal)).rejects.toMatchObject({ code: 'HAPROXY_SOCKET_TIMEOUT' })
    }
  })

  test('a reply that trickles ends at the same time-out', async () => {
    const path = await greetingDouble((_, socket) => {
      const timer = setInterval(() => socket.write('x'), 5)
      socket.once('close', () => clearInterval(timer))
    })
    const socket = createRuntimeSocket(path, { timeoutMs: 60 })
    await expect(socket.ask('show info', signal)).rejects.toMatchObject({ code: 'HAPROXY_SOCKET_TIMEOUT' })
  })

  test('an endless reply is dropped', async () => {
    const path = await greetingDouble((_, socket) => {
      const more = () => {
        while (!socket.destroyed && socket.write('x'.repeat(65_536)));
        socket.once('drain', more)
      }
      more()
    })
    const socket = createRuntimeSocket(path, { maxReplyBytes: 100_000 })
    await expect(socket.ask('show info', signal)).rejects.toMatchObject({ code: 'HAPROXY_SOCKET_TOO_LONG' })
  })

  test('what does not greet as HAProxy does is no stats socket', async () => {
    for (const greeting of ['hello\n> \n> ', '\n> hello\n> ', '\n> \n> \n> ']) {
      const path = await socketDouble((_, socket) => void socket.write(greeting))
      await expect(createRuntimeSocket(path).ask('show info', signal)).rejects.toMatchObject({
        code: 'HAPROXY_SOCKET_GARBAGE',
      })
    }
  })

  test('a second answer to one command is garbage, whether it comes at once or later', async () => {
    const twice = await greetingDouble((_, socket) => void socket.write('one\n> two\n> '))
    await expect(createRuntimeSocket(twice).ask('x', signal)).rejects.toMatchObject({ code: 'HAPROXY_SOCKET_GARBAGE' })

    const later = await greetingDouble((text, socket) => {
      if (text === 'first\n') socket.write('one\n> ', () => setTimeout(() => socket.write('more\n> '), 5))
    })
    const asked = createRuntimeSocket(later).session(async (session) => {
      await session.ask('first')
      await new Promise((resolve) => setTimeout(resolve, 50))
      return session.ask('second')
    }, signal)
    await expect(asked).rejects.toMatchObject({ code: 'HAPROXY_SOCKET_GARBAGE' })
  })

  test('a connection that is closed or reset before the reply is complete is an error', async () => {
    const faults: ((socket: Socket) => void)[] = [
      (socket) => void socket.end(),
      (socket) => void socket.end('[6]: New server registered.\n'),
      (socket) => void socket.destroy(),
    ]
    for (const fault of faults) {
      const path = await greetingDouble((_, socket) => fault(socket))
      await expect(createRuntimeSocket(path).ask('add server', signal)).rejects.toMatchObject({
        code: expect.stringMatching(/^HAPROXY_SOCKET_(CLOSED|UNREACHABLE)$/),
      })
    }
  })

  test('an abort ends the wait with its own reason, and nothing is asked after it', async () => {
    const path = await greetingDouble(() => undefined)
    const controller = new AbortController()
    const answer = createRuntimeSocket(path).ask('show info', controller.signal)
    controller.abort(new Error('enough'))
    await expect(answer).rejects.toThrow('enough')
    await expect(createRuntimeSocket(path).ask('show info', controller.signal)).rejects.toThrow('enough')
  })

  test('a connection that failed stays failed', async () => {
    const path = await greetingDouble((text, socket) => void (text === 'a\n' ? socket.end() : socket.write('fine\n> ')))
    const codes = await createRuntimeSocket(path).session(async (session) => {
      const first = await session.ask('a').catch((error) => error.code)
      return [first, await session.ask('b').catch((error) => error.code)]
    }, signal)
    expect(codes).toEqual(['HAPROXY_SOCKET_CLOSED', 'HAPROXY_SOCKET_CLOSED'])
  })
})

describe('replies', () => {
  test('that come byte by byte are put together, and told apart when many were asked for at once', async () => {
    const raw = 'one\n\n> \n> [3]: thrée\n\n> '
    const path = await greetingDouble(async (_, socket) => {
      for (const byte of Buffer.from(raw)) {
        socket.write(Buffer.from([byte]))
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
    expect(await createRuntimeSocket(path).askAll(['a', 'b', 'c'], signal)).toEqual([
      { command: 'a', text: 'one\n' },
      { command: 'b', text: '' },
      { command: 'c', text: '[3]: thrée\n' },
    ])
  })

  test('are asked for in writes below the limit, each after the answers to the last', async () => {
    const writes: number[] = []
    const path = await greetingDouble((text, socket) => {
      writes.push(text.length)
      socket.write('\n> '.repeat(text.split('\n').length - 1))
    })
    const commands = Array.from({ length: 1000 }, (_, i) => `set map hosts.map ${i}.example.com backend-${i}`)
    expect(await createRuntimeSocket(path).askAll(commands, signal)).toHaveLength(1000)
    expect(Math.max(...writes)).toBeLessThanOrEqual(MAX_COMMAND_BYTES)
    expect(writes).toHaveLength(4)
  })

  test('no command is sent when one of them cannot be', async () => {
    let sent = ''
    const path = await socketDouble((text, socket) => {
      sent += text
      socket.write(GREETED)
    })
    const socket = createRuntimeSocket(path)
    const long = { command: 'set ssl cert a.pem', payload: 'x'.repeat(20_000) }
    const cut = { command: 'set ssl cert a.pem', payload: 'a\n\nshutdown sessions server app/s1' }
    await expect(socket.askAll(['a', long], signal)).rejects.toMatchObject({ code: 'HAPROXY_COMMAND_TOO_LONG' })
    await expect(socket.askAll(['a', cut], signal)).rejects.toMatchObject({ code: 'HAPROXY_COMMAND_UNSAFE' })
    await expect(socket.ask('a\nb', signal)).rejects.toMatchObject({ code: 'HAPROXY_COMMAND_UNSAFE' })
    expect(sent.replaceAll('prompt\nset severity-output number\n', '')).toBe('')
  })
})

describe('a command line', () => {
  test('lets no word begin another word, another command or a payload', () => {
    expect(commandLine('set', 'map', 'm', 'a b', 'c;d\\')).toBe('set map m a\\ b c\\;d\\\\')
    for (const word of ['', 'a\nb', 'a\tb', '\0', '<<', '<<x']) {
      expect(() => commandLine('add', 'map', 'm', 'k', word)).toThrow(
        expect.objectContaining({ code: 'HAPROXY_COMMAND_UNSAFE' }),
      )
    }
  })

  test('is one line whatever its words are', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }), (words) => {
        let line: string
        try {
          line = commandLine(...words)
        } catch {
          return
        }
        expect(line.split(/(?<!(?<!\\)(?:\\\\)*\\)[ ;]/)).toHaveLength(words.length)
        expect(wire(line).match(/\n/g)).toHaveLength(1)
      }),
      { numRuns: 1000 },
    )
  })

  test('of a payload keeps private keys out of errors', () => {
    const payload = `-----BEGIN PRIVATE KEY-----\n${'k'.repeat(20_000)}`
    expect(() => wire({ command: 'set ssl cert a.pem', payload })).not.toThrow(/kkk/)
  })
})
