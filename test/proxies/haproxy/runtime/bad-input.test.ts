import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { pino } from 'pino'
import { commandLine } from '../../../../src/proxies/haproxy/runtime/socket-command.js'
import { parseServersState } from '../../../../src/proxies/haproxy/runtime/state-dumps.js'
import { type DriverRig, hostOf, startDriverRig } from '../../../support/driver-rig.js'
import { describeWith } from '../../../support/servers.js'
import { type Fault, type FaultySocket, startFaultySocket } from '../../../support/socket-faults.js'
import { startUpstream, type Upstream } from '../../../support/upstreams.js'
import { until } from '../../../support/wait.js'

describeWith(['haproxy'], 'a stats socket that cannot be relied on', () => {
  let rig: DriverRig
  let socket: FaultySocket
  let app: Upstream
  const log: { level: number; msg: string; reason?: string }[] = []
  const stacks = (...names: string[]) => new Map(names.map((name) => [name, [app.port]]))
  const statusOf = async (...names: string[]) =>
    Promise.all(names.map(async (name) => (await rig.get(hostOf(name))).status))

  beforeAll(async () => {
    app = await startUpstream('app')
    rig = await startDriverRig({
      log: pino({ base: null }, { write: (line: string) => void log.push(JSON.parse(line)) }),
      through: async (path) => {
        socket = await startFaultySocket(path)
        return socket.path
      },
    })
  })
  afterAll(async () => {
    await rig?.stop()
    await socket?.close()
    await app?.close()
  })
  beforeEach(async () => {
    log.length = 0
    rig.publish(stacks('one'))
    await rig.apply()
    expect((await rig.apply()).how).toBe('nothing')
    // A server that is still there need not be added, and the step that a test spoils would never be taken.
    await until('what was removed is gone', async () => {
      const reply = await rig.socket.ask(commandLine('show', 'servers', 'state'), new AbortController().signal)
      const servers = [...parseServersState(reply).values()].flatMap((some) => [...some.values()])
      return servers.every(({ maintenance }) => !maintenance)
    })
  })
  afterEach(() => socket.mend())

  const NEVER: Fault = { never: true }
  const steps: [what: string, command: string, fault: Fault, why: RegExp][] = [
    [
      'is answered with what nobody knows',
      'add server',
      { say: 'Maybe.\n\n> ' },
      /"Maybe\.", which Hostler does not know/,
    ],
    [
      'is answered with nothing but the prompt',
      'add server',
      { say: '\n> ' },
      /with nothing, which Hostler does not know/,
    ],
    ['is refused', 'add server', { say: '[3]: No luck today.\n\n> ' }, /refused `add server .*No luck today/],
    ['is answered twice', 'add map', { say: '\n> \n> ' }, /answered more than was asked/],
    ['is never answered', 'add server', NEVER, /was not answered within 2000 ms/],
    ['is answered too slowly', 'enable server', { byteEachMs: 1500 }, /was not answered within 2000 ms/],
    ['is answered in part', 'add server', { cutAfter: 9 }, /was closed before `add server .*` was answered in full/],
    ['is cut off before the prompt', 'add map', { cutAfter: 1 }, /was closed before `add map .*` was answered in full/],
  ]
  test.each(steps)(
    'a step that %s ends in a reload that says so, and in what the files say',
    async (_, command, fault, why) => {
      socket.spoil(command, fault)
      rig.publish(stacks('one', 'two'))
      expect(await rig.apply()).toMatchObject({ how: 'reload', why: expect.stringMatching(why) })
      expect(await statusOf('one', 'two')).toEqual([200, 200])
      socket.mend()
      rig.publish(stacks('one', 'two', 'three'))
      expect((await rig.apply()).how).toBe('runtime')
      expect(await statusOf('two', 'three')).toEqual([200, 200])
    },
  )

  const dumps: [what: string, command: string, fault: Fault, why: RegExp][] = [
    ['garbage', 'show servers state', { say: '\x00\x01 garbage\n\n> ' }, /which Hostler cannot read/],
    ['half of it', 'show servers state', { cutAfter: 200 }, /was closed before `show servers state`/],
    ['an error', 'show backend', { say: '[3]: Permission denied\n\n> ' }, /`show backend` with .*Permission denied/],
    ['nothing', 'show info', NEVER, /was not answered within 2000 ms/],
    [
      'an old version',
      'show info',
      { say: 'Version: 2.4.22\nPid: 7\nStopping: 0\n\n> ' },
      /is 2\.4; Hostler needs 2\.6/,
    ],
    [
      'no greeting',
      'prompt',
      { say: 'HTTP/1.0 400 Bad request\n\n> \n> ' },
      /does not speak as HAProxy's stats socket/,
    ],
  ]
  test.each(dumps)(
    '%s in place of what HAProxy has: a change is a reload, rest is rest, and both are told',
    async (_, command, fault, why) => {
      socket.spoil(command, fault)
      expect([await rig.apply(), await rig.apply()].map(({ how }) => how)).toEqual(['nothing', 'nothing'])
      const told = log.filter(({ msg }) => msg.includes('cannot be compared'))
      expect(told.map(({ reason }) => reason)).toEqual([expect.stringMatching(why)])
      rig.publish(stacks('one', 'two'))
      expect(await rig.apply()).toMatchObject({ how: 'reload', why: expect.stringMatching(why) })
      expect(await statusOf('one', 'two')).toEqual([200, 200])
      socket.mend()
      expect((await rig.apply()).how).toBe('nothing')
      expect(log.filter(({ msg }) => msg.includes('can be compared again'))).toHaveLength(1)
    },
  )

  test('answers that come byte by byte are answers', async () => {
    socket.spoil('show backend', { byteEachMs: 1 })
    socket.spoil('add server', { byteEachMs: 1 })
    rig.publish(stacks('one', 'two'))
    expect((await rig.apply()).how).toBe('runtime')
    expect(await statusOf('two')).toEqual([200])
  })

  test('after a step that fails the rest is not tried, and everything is read again', async () => {
    socket.spoil('enable server', { say: '[3]: No luck today.\n\n> ' }, 1)
    rig.publish(stacks('one', 'two', 'three', 'four'))
    expect(await rig.apply()).toMatchObject({ how: 'reload', why: expect.stringMatching(/^Step 2 of \d+ /) })
    expect(socket.asked('add server')).toHaveLength(2)
    expect(socket.asked('add map')).toHaveLength(0)
    expect(await statusOf('one', 'two', 'three', 'four')).toEqual([200, 200, 200, 200])
    const reads = socket.asked('show servers state').length
    expect((await rig.apply()).how).toBe('nothing')
    expect(socket.asked('show servers state').length).toBe(reads + 1)
  })

  describe('while a step is under way', () => {
    test('a stop ends the wait at once', async () => {
      // Comes last: the rig is of no use after it.
      socket.spoil('add server', NEVER)
      rig.publish(stacks('one', 'two'))
      const applying = rig.apply()
      const ended = expect(applying).rejects.toThrow()
      while (socket.asked('add server').length === 0) await new Promise((resolve) => setImmediate(resolve))
      await rig.stop()
      await ended
    })
  })
})
